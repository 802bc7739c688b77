/**
 * Between a volume's own voxels and those of the display, which are turned to the nearest RAS+ order.
 *
 * Both are whole numbers, so nothing is rounded on the way: axes are exchanged and turned round.
 */

import type { Triple } from "../api/types.ts";

export interface Span {
  first: Triple;
  size: Triple;
}

export class Axes {
  /** `source[r]`: the volume's axis that runs along the display's axis r. */
  readonly source: Triple;
  /** Whether it runs against it. */
  readonly flipped: [boolean, boolean, boolean];
  /** Voxels of the volume along i, j, k. */
  readonly shape: Triple;
  /** Voxels of the display along x, y, z. */
  readonly display: Triple;

  /** `permutation`: for each axis of the display the volume's, counted from 1, negative if it runs against it. */
  constructor(shape: Triple, permutation: readonly number[]) {
    this.shape = shape;
    this.source = permutation.map((n) => Math.abs(n) - 1) as Triple;
    this.flipped = permutation.map((n) => n < 0) as [boolean, boolean, boolean];
    this.display = this.source.map((axis) => shape[axis]) as Triple;
  }

  /** A voxel of the volume, where the display shows it. */
  toDisplay(voxel: Triple): Triple {
    return this.source.map((axis, r) =>
      this.flipped[r] ? this.shape[axis] - 1 - voxel[axis] : voxel[axis],
    ) as Triple;
  }

  /** The volume's voxel at a place of the display. */
  toVoxel(place: Triple): Triple {
    const voxel: Triple = [0, 0, 0];
    for (let r = 0; r < 3; r++) {
      const axis = this.source[r];
      voxel[axis] = this.flipped[r] ? this.shape[axis] - 1 - place[r] : place[r];
    }
    return voxel;
  }

  /** Where the display shows a part of the volume. */
  spanToDisplay(span: Span): Span {
    const last = span.first.map((n, axis) => n + span.size[axis] - 1) as Triple;
    const [one, other] = [this.toDisplay(span.first), this.toDisplay(last)];
    return {
      first: one.map((n, r) => Math.min(n, other[r])) as Triple,
      size: this.source.map((axis) => span.size[axis]) as Triple,
    };
  }

  /**
   * How bits of a mask's box lie in the display: bit of the display's voxel (0, 0, 0), counted as if the
   * box went on, and what each axis adds.
   */
  bitsOf(span: Span): { start: number; steps: Triple } {
    const [a, b] = span.size;
    const strides = [1, a, a * b];
    const steps = this.source.map((axis, r) => (this.flipped[r] ? -1 : 1) * strides[axis]) as Triple;
    const origin = this.toVoxel([0, 0, 0]);
    const start = origin.reduce((sum, n, axis) => sum + (n - span.first[axis]) * strides[axis], 0);
    return { start, steps };
  }
}

/** The display's voxel at a place given as fractions 0 to 1 of its extent. */
export function voxelAt(fraction: readonly number[], display: Triple): Triple {
  return display.map((n, r) =>
    Math.min(n - 1, Math.max(0, Math.floor(fraction[r] * n))),
  ) as Triple;
}

/** The middle of a voxel of the display, as fractions. */
export function middleOf(voxel: Triple, display: Triple): Triple {
  return display.map((n, r) => (voxel[r] + 0.5) / n) as Triple;
}

/** The smallest span that holds both; an empty one counts for nothing. */
export function union(one: Span | null, other: Span | null): Span | null {
  if (one === null || isEmpty(one)) return other !== null && isEmpty(other) ? null : other;
  if (other === null || isEmpty(other)) return one;
  const first = one.first.map((n, r) => Math.min(n, other.first[r])) as Triple;
  const size = first.map(
    (n, r) => Math.max(one.first[r] + one.size[r], other.first[r] + other.size[r]) - n,
  ) as Triple;
  return { first, size };
}

/** What both have in common. */
export function common(one: Span, other: Span): Span {
  const first = one.first.map((n, r) => Math.max(n, other.first[r])) as Triple;
  const size = first.map((n, r) =>
    Math.max(0, Math.min(one.first[r] + one.size[r], other.first[r] + other.size[r]) - n),
  ) as Triple;
  return { first, size };
}

export function isEmpty(span: Span): boolean {
  return span.size.some((n) => n === 0);
}
