/** Clicks that are not answered yet: one is asked for at a time, in their order, and none is lost. */

import { isPassing } from "../api/errors.ts";
import type { Ask, Box, Point } from "../api/types.ts";
import type { Structure } from "./structures.ts";

export interface Click {
  readonly structure: Structure;
  readonly points: readonly Point[];
  readonly box: Box | null;
  readonly began: number;
  /** What is asked, as things stand when its turn comes. */
  readonly ask: () => Ask;
}

export interface Answering {
  /** Ask for a click; aborting stops that, and nothing of it is kept. */
  answer(click: Click, signal: AbortSignal): Promise<void>;
  /** It came to nothing. `waits`: it is the first again, and no other is asked for before. */
  failed(click: Click, error: unknown, waits: boolean): void;
}

export class Clicks {
  readonly #answering: Answering;
  #waiting: Click[] = [];
  #current: { click: Click; stop: AbortController } | null = null;

  constructor(answering: Answering) {
    this.#answering = answering;
  }

  /** All of them, the one that is asked for included; or those of one structure. */
  all(structure: Structure | null = null): Click[] {
    const current = this.#current === null || this.#current.stop.signal.aborted ? [] : [this.#current.click];
    const all = [...current, ...this.#waiting];
    return structure === null ? all : all.filter((click) => click.structure === structure);
  }

  add(click: Click): void {
    this.#waiting.push(click);
  }

  /** Ask for them, one after the other, until none is left or one has to wait. */
  async go(): Promise<void> {
    if (this.#current !== null) return;
    for (let click = this.#waiting.shift(); click !== undefined; click = this.#waiting.shift()) {
      const stop = new AbortController();
      this.#current = { click, stop };
      try {
        await this.#answering.answer(click, stop.signal);
        this.#current = null;
      } catch (error) {
        this.#current = null;
        const waits = isPassing(error) && !stop.signal.aborted;
        if (waits) this.#waiting.unshift(click);
        this.#answering.failed(click, error, waits);
        if (waits) return;
      }
    }
  }

  /** Take back the last click of a structure; whether there was one. */
  takeBack(structure: Structure): boolean {
    const last = this.all(structure).at(-1);
    if (last !== undefined) this.drop((click) => click === last);
    return last !== undefined;
  }

  /** Forget clicks, the one that is asked for included; how many there were. */
  drop(which: (click: Click) => boolean = () => true): number {
    const dropped = this.all().filter(which).length;
    this.#waiting = this.#waiting.filter((click) => !which(click));
    if (this.#current !== null && which(this.#current.click)) this.#current.stop.abort();
    return dropped;
  }
}
