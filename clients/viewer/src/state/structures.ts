/** The named structures of a volume, and where in its history each one stands. */

import type { CandidateName, Code, Colour, Entry, Result, Segmentation } from "../api/types.ts";
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

const MOST_ADOPTED = 20;

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

/** What the service's records say, after a reload or from another viewer. */
export function foundStructures(result: Result | null, history: History): Structure[] {
  const found: Structure[] = [];
  for (const entry of result?.entries ?? []) {
    const head = newer(entry.segmentation, result, history);
    found.push({
      ...freshStructure(found),
      ...placed(head, history),
      candidate: head === entry.segmentation ? entry.candidate : "fused",
      label: entry.label,
      colour: entry.colour,
      code: entry.code,
      category: entry.category,
    });
  }
  // Answered, and then the page was closed before it could keep the result.
  const known = new Set(found.map(({ head }) => history.rootOf(head as string)));
  const roots = history.roots().filter((root) => !known.has(root.id) && isUnkept(root, result));
  for (const root of roots.slice(-MOST_ADOPTED)) {
    const head = history.after(root.id).at(-1) ?? root.id;
    found.push({ ...freshStructure(found), ...placed(head, history) });
  }
  return found;
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

function placed(head: string, history: History): Pick<Structure, "head" | "past" | "future"> {
  return { head, past: history.before(head), future: history.after(head).reverse() };
}

function newer(head: string, result: Result | null, history: History): string {
  const unkept = history.after(head).filter((id) => {
    const segmentation = history.get(id);
    return segmentation !== undefined && isUnkept(segmentation, result);
  });
  return unkept.at(-1) ?? head;
}

function isUnkept(segmentation: Segmentation, result: Result | null): boolean {
  return result === null || segmentation.created > result.changed;
}
