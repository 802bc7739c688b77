/** The named structures of a volume, and where in its history each one stands. */

import type { CandidateName, Code, Colour, Entry, Result } from "../api/types.ts";
import type { History } from "./history.ts";

export interface Structure {
  /** What the display's voxels say: 1 to 255. */
  number: number;
  label: string;
  colour: Colour;
  code: Code | null;
  category: Code | null;
  visible: boolean;
  /** Its segmentation; none before the first click. */
  head: string | null;
  /** Undo goes back to the last of these, or to nothing. */
  past: string[];
  /** Redo goes on to the last of these. */
  future: string[];
  /** Which of the segmentation's masks is shown. */
  candidate: CandidateName;
}

const COLOURS: readonly Colour[] = [
  [55, 213, 200],
  [255, 180, 84],
  [126, 231, 135],
  [210, 153, 255],
  [255, 123, 114],
  [121, 184, 255],
  [240, 220, 90],
  [255, 150, 200],
];

/** The service takes as many; and a voxel of the display is a byte. */
export const MOST_STRUCTURES = 255;

const MOST_OFFERED = 20;

/** A structure that has no segmentation yet. */
export function freshStructure(others: readonly Structure[]): Structure {
  const taken = new Set(others.map(({ number }) => number));
  let number = 1;
  while (taken.has(number)) number++;
  const labels = new Set(others.map(({ label }) => label));
  let named = others.length + 1;
  while (labels.has(`Structure ${named}`)) named++;
  return {
    number,
    label: `Structure ${named}`,
    colour: COLOURS[(number - 1) % COLOURS.length],
    code: null,
    category: null,
    visible: true,
    head: null,
    past: [],
    future: [],
    candidate: "fused",
  };
}

/** Give one that nothing shows of yet a place behind others; its name stays, unless one of them has it. */
export function renumber(structure: Structure, others: readonly Structure[]): void {
  const { number, label, colour } = freshStructure(others);
  const isTaken = others.some((other) => other.label === structure.label);
  Object.assign(structure, { number, colour, label: isTaken ? label : structure.label });
}

/** A name as DICOM can hold it, or none. */
export function cleanLabel(text: string): string {
  return text.replace(/[\\\p{Cc}]+/gu, " ").trim().slice(0, 64).trim();
}

/** The segmentations of a result's structures. */
export function headsIn(result: Result | null): string[] {
  return (result?.entries ?? []).map(({ segmentation }) => segmentation);
}

/** Structures at segmentations; names are those that the result has for them. */
export function structuresAt(
  heads: readonly string[],
  result: Result | null,
  history: History,
): Structure[] {
  const found: Structure[] = [];
  const left = [...(result?.entries ?? [])];
  for (const head of heads) {
    const isOf = (test: (id: string) => boolean): number =>
      left.findIndex(({ segmentation }) => test(segmentation));
    const same = isOf((id) => id === head);
    const at = same >= 0 ? same : isOf((id) => history.rootOf(id) === history.rootOf(head));
    const entry = at < 0 ? null : left.splice(at, 1)[0];
    found.push({
      ...freshStructure(found),
      head,
      past: history.before(head),
      future: history.after(head).reverse(),
      ...(entry && {
        candidate: entry.segmentation === head ? entry.candidate : "fused",
        label: entry.label,
        colour: entry.colour,
        code: entry.code,
        category: entry.category,
      }),
    });
  }
  return found;
}

/** The last answers on a volume that has no result: the newest of each structure. */
export function looseHeads(history: History): string[] {
  const newest = history.roots().slice(-MOST_OFFERED);
  return newest.map(({ id }) => history.after(id).at(-1) ?? id);
}

/** Structures as a result holds them: those that have a segmentation. */
export function entriesOf(structures: readonly Structure[]): Entry[] {
  return structures.flatMap(({ head, label, colour, code, category, candidate }) =>
    head === null
      ? []
      : [
          {
            segmentation: head,
            label,
            colour,
            ...(code === null ? {} : { code }),
            ...(category === null ? {} : { category }),
            ...(candidate === "fused" ? {} : { candidate }),
          },
        ],
  );
}

/** The same of a result as the service has it. */
export function entriesIn(result: Result | null): Entry[] {
  const entries = result?.entries ?? [];
  return entriesOf(entries.map((entry) => ({ ...freshStructure([]), ...entry, head: entry.segmentation })));
}
