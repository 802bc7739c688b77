/** What the address says after the #: which volume, which of its results, and what is in none yet. */

/** In place of a result: all was undone or removed. */
export const NOTHING = "none";

/** What of a volume is shown. */
export interface Found {
  /** A result's id, or `NOTHING`; null: the newest. */
  result: string | null;
  /** What is not kept there yet. */
  changes: Changes | null;
}

export interface Changes {
  /** The revision that they change, 0 for none: a later one has them, or is somebody's who came after. */
  since: number;
  /** The segmentations of all structures, in their order. */
  heads: readonly string[];
}

export interface Address extends Found {
  volume: string | null;
}

/** What says nothing but the volume. */
export const ANYTHING: Found = { result: null, changes: null };

export function readAddress(hash: string): Address {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const since = Number(parts.get("since") ?? NaN);
  const heads = parts.get("heads")?.split(",").filter(Boolean) ?? [];
  const changes = Number.isInteger(since) ? { since, heads } : null;
  return { volume: parts.get("volume"), result: parts.get("result"), changes };
}

export function writeAddress({ volume, result, changes }: Address): string {
  if (volume === null) return "#";
  const kept = result === null ? "" : `&result=${result}`;
  const unkept = changes === null ? "" : `&since=${changes.since}&heads=${changes.heads.join()}`;
  return `#volume=${volume}${kept}${unkept}`;
}
