/** Masks on one another, as numbers for the display: only where something changed. */

import { type Axes, type Span, common, isEmpty, union } from "../space/axes.ts";
import type { Mask } from "./packed.ts";

/** Numbers of a part of the display, x fastest. */
export interface Patch extends Span {
  numbers: Uint8Array;
}

export class Layers {
  readonly #axes: Axes;
  readonly #masks = new Map<number, Mask>();
  #order: number[] = [];

  constructor(axes: Axes) {
    this.#axes = axes;
  }

  /** Show a mask as a number (1 to 255) in place of the one before, or none; what to draw anew. */
  show(number: number, mask: Mask | null): Patch | null {
    const before = this.#masks.get(number);
    if (mask === null) this.#masks.delete(number);
    else this.#masks.set(number, mask);
    const span = union(this.#span(before), this.#span(mask));
    return span === null ? null : this.#draw(span);
  }

  /** Numbers from the lowest to the topmost; those that are not named are not shown. What to draw anew. */
  arrange(order: readonly number[]): Patch | null {
    if (order.join() === this.#order.join()) return null;
    this.#order = [...order];
    let span: Span | null = null;
    for (const mask of this.#masks.values()) span = union(span, this.#span(mask));
    return span === null ? null : this.#draw(span);
  }

  #span(mask: Mask | null | undefined): Span | null {
    return mask && mask.count > 0 ? this.#axes.spanToDisplay(mask) : null;
  }

  #draw(span: Span): Patch {
    const numbers = new Uint8Array(span.size[0] * span.size[1] * span.size[2]);
    for (const number of this.#order) {
      const mask = this.#masks.get(number);
      if (mask) this.#stamp(number, mask, { ...span, numbers });
    }
    return { ...span, numbers };
  }

  #stamp(number: number, mask: Mask, patch: Patch): void {
    const own = this.#span(mask);
    if (own === null) return;
    const { first, size } = common(own, patch);
    if (isEmpty({ first, size })) return;
    const { start, steps } = this.#axes.bitsOf(mask);
    const { bits } = mask;
    const step = steps[0];
    const [width, height] = patch.size;
    for (let z = first[2]; z < first[2] + size[2]; z++) {
      for (let y = first[1]; y < first[1] + size[1]; y++) {
        let bit = start + first[0] * step + y * steps[1] + z * steps[2];
        let at =
          first[0] - patch.first[0] + width * (y - patch.first[1] + height * (z - patch.first[2]));
        for (const end = at + size[0]; at < end; at++, bit += step) {
          if ((bits[bit >> 3] >> (bit & 7)) & 1) patch.numbers[at] = number;
        }
      }
    }
  }
}
