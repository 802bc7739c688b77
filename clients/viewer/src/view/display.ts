/** A session in the display: its scan, and the masks of its structures upon each other. */

import type { Colour, Volume } from "../api/types.ts";
import { Layers } from "../mask/layers.ts";
import type { Mask } from "../mask/packed.ts";
import type { Session } from "../state/session.ts";
import type { Structure } from "../state/structures.ts";
import type { Stage } from "./stage.ts";

export class Display {
  /** Whether all masks are hidden. */
  hidden = false;
  readonly #stage: Stage;
  #layers: Layers | null = null;
  /** What the masks were coloured with, to tell whether that changes. */
  #colours = "";

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** Show a scan, the bytes of a NIfTI file, in place of the one before and its masks. */
  async load(nifti: ArrayBuffer, { shape, affine }: Volume): Promise<void> {
    this.#layers = new Layers(await this.#stage.slices.load(nifti, shape));
    this.#stage.solid.clear(affine);
    this.#stage.arrange();
  }

  /** Show a structure's mask, or none. */
  show(session: Session, structure: Structure, mask: Mask | null): void {
    const { slices, solid } = this.#stage;
    // Before the mask, so that one drawing does for both.
    const below = this.#layers?.arrange(this.#order(session)) ?? null;
    const changed = this.#layers?.show(structure.number, mask) ?? null;
    if (below !== null) slices.paint(below);
    if (changed !== null) slices.paint(changed);
    if (session.work?.growing == null) solid.show(structure.number, mask);
  }

  /** Show colours, what is hidden, and what was clicked. */
  update(session: Session): void {
    const { slices, solid } = this.#stage;
    const colours = new Map<number, Colour>(
      session.structures.map(({ number, colour }) => [number, colour]),
    );
    if (JSON.stringify([...colours]) !== this.#colours) {
      this.#colours = JSON.stringify([...colours]);
      slices.colour(colours);
      solid.colour(colours);
    }
    const order = this.#order(session);
    const changed = this.#layers?.arrange(order) ?? null;
    if (changed !== null) slices.paint(changed);
    else this.#stage.redraw();
    solid.see(order);
  }

  #order({ structures, active }: Session): number[] {
    if (this.hidden) return [];
    const seen = structures.filter(({ visible }) => visible);
    const top = seen.filter((structure) => structure === active);
    return [...seen.filter((structure) => structure !== active), ...top].map(({ number }) => number);
  }
}
