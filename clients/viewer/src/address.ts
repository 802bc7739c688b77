/** What the address says after the #: which volume, and which of its results. */

/** In place of a result: all was undone or removed, and does not come back by itself. */
export const NOTHING = "none";

export interface Address {
  volume: string | null;
  /** Its id, or `NOTHING`; null: the newest. */
  result: string | null;
}

export function readAddress(hash: string): Address {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  return { volume: parts.get("volume"), result: parts.get("result") };
}

export function writeAddress({ volume, result }: Address): string {
  if (volume === null) return "#";
  return result === null ? `#volume=${volume}` : `#volume=${volume}&result=${result}`;
}
