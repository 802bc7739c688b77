/** The segmentations of a volume as a tree: each refines its parent. */

import type { Segmentation } from "../api/types.ts";

export class History {
  readonly #all = new Map<string, Segmentation>();

  add(segmentation: Segmentation): void {
    this.#all.set(segmentation.id, segmentation);
  }

  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  get(id: string): Segmentation | undefined {
    return this.#all.get(id);
  }

  /** What it refines, if that is still there. */
  parentOf(segmentation: Segmentation): Segmentation | undefined {
    return segmentation.parent === null ? undefined : this.#all.get(segmentation.parent);
  }

  /** What it refines, what that refines and so on: the oldest first, itself left out. */
  before(id: string): string[] {
    const found: string[] = [];
    let next = this.#all.get(id);
    while (next !== undefined) {
      next = this.parentOf(next);
      if (next !== undefined) found.unshift(next.id);
    }
    return found;
  }

  /** The newest that refines it, the newest that refines that and so on. */
  after(id: string): string[] {
    const found: string[] = [];
    let next = this.#newestChild(id);
    while (next !== undefined) {
      found.push(next.id);
      next = this.#newestChild(next.id);
    }
    return found;
  }

  /** Those that refine nothing that is there; the oldest first. */
  roots(): Segmentation[] {
    const roots = [...this.#all.values()].filter((one) => this.parentOf(one) === undefined);
    return roots.sort(byAge);
  }

  rootOf(id: string): string {
    return this.before(id)[0] ?? id;
  }

  #newestChild(id: string): Segmentation | undefined {
    const children = [...this.#all.values()].filter((one) => one.parent === id);
    return children.sort(byAge).at(-1);
  }
}

/** Points and box that a segmentation added to what it refines. */
export function added(
  segmentation: Segmentation,
  parent: Segmentation | undefined,
): Pick<Segmentation, "points" | "box"> {
  if (parent === undefined) return { points: segmentation.points, box: segmentation.box };
  const sameBox = JSON.stringify(segmentation.box) === JSON.stringify(parent.box);
  return {
    points: segmentation.points.slice(parent.points.length),
    box: sameBox ? null : segmentation.box,
  };
}

function byAge(one: Segmentation, other: Segmentation): number {
  // Ids are made of the time, so that the later one is the greater.
  return one.id < other.id ? -1 : 1;
}
