/** The API key: kept for as long as the tab is open, and in no other place. */

const NAME = "sammoe-key";

export function storedKey(): string | null {
  return sessionStorage.getItem(NAME);
}

export function storeKey(key: string | null): void {
  if (key === null) sessionStorage.removeItem(NAME);
  else sessionStorage.setItem(NAME, key);
}
