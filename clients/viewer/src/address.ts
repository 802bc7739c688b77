/** What the address says after the #: which volume, and which of its results. */

export interface Address {
  volume: string | null;
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
