/** A service for tests: it answers what it is told to, and remembers what it was asked. */

import { readFileSync } from "node:fs";
import type { Answer, Client } from "../src/api/client.ts";
import { Refused } from "../src/api/errors.ts";
import type { Ask, Entry, Merge, Result, Segmentation, Volume } from "../src/api/types.ts";

const MASK = new Uint8Array(readFileSync(new URL("data/full.sammoe", import.meta.url)));

export const VOLUME = { id: "v", shape: [5, 7, 6], spacing: [1, 1, 2] } as unknown as Volume;

export class Answering {
  /** What clicks asked, in their order. */
  readonly asked: Ask[] = [];
  /** Keys of new results, in the order in which they were sent. */
  readonly keys: string[] = [];
  readonly results = new Map<string, Result>();
  segmentations: Segmentation[] = [];
  /** What the next requests end with, before or after they are done; null: nothing. */
  failures: ({ before?: Error; after?: Error } | null)[] = [];
  /** What answers wait for. */
  hold: Promise<void> = Promise.resolve();
  #made = new Map<string, string>();

  /** As the page knows it. */
  get client(): Client {
    const { results } = this;
    return {
      segmentations: async () => {
        await this.hold;
        return this.#turn(() => this.segmentations);
      },
      newestResult: async () => [...results.values()].at(-1) ?? null,
      result: async (id: string) => this.#turn(() => found(results.get(id))),
      segment: (_: string, ask: Ask, __: unknown, signal: AbortSignal) => this.#segment(ask, signal),
      mask: async () => MASK,
      addResult: async (_: string, entries: Entry[], merge: Merge, key: string) =>
        this.#turn(() => {
          this.keys.push(key);
          const id = this.#made.get(key) ?? `r${this.#made.size + 1}`;
          if (!this.#made.has(key)) results.set(id, kept(id, entries, merge, 1));
          this.#made.set(key, id);
          return found(results.get(id));
        }),
      replaceResult: async (id: string, entries: Entry[], merge: Merge) =>
        this.#turn(() => {
          results.set(id, kept(id, entries, merge, found(results.get(id)).revision + 1));
          return found(results.get(id));
        }),
      deleteResult: async (id: string) =>
        this.#turn(() => {
          found(results.get(id));
          results.delete(id);
        }),
    } as unknown as Client;
  }

  async #segment(ask: Ask, signal: AbortSignal): Promise<Answer> {
    this.asked.push(ask);
    await Promise.race([
      this.hold,
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    ]);
    return this.#turn(() => {
      const segmentation = answered(`s${this.segmentations.length + 1}`, ask);
      this.segmentations.push(segmentation);
      return { segmentation, mask: MASK, bytes: MASK.length };
    });
  }

  #turn<T>(make: () => T): T {
    const failure = this.failures.shift() ?? null;
    if (failure?.before) throw failure.before;
    const made = make();
    if (failure?.after) throw failure.after;
    return made;
  }
}

export function answered(id: string, ask: Partial<Ask>): Segmentation {
  return {
    id,
    parent: null,
    created: "2026-01-01T00:00:00Z",
    points: [],
    box: null,
    route: { used: "general", fused: false, top: null },
    timings_ms: {},
    warnings: [],
    volume_ml: 1,
    ...ask,
  } as unknown as Segmentation;
}

/** A result, with the code that the service puts where none was said. */
export function kept(id: string, entries: Entry[], merge: Merge, revision: number): Result {
  const code = { scheme: "SCT", value: "85756007", meaning: "Tissue" };
  const whole = entries.map((entry, n) => ({ candidate: "fused", code, ...entry, number: n + 1 }));
  return { id, volume: "v", changed: "2026-01-02T00:00:00Z", revision, merge, entries: whole } as unknown as Result;
}

function found(result: Result | undefined): Result {
  if (result === undefined) throw new Refused(404, {});
  return result;
}
