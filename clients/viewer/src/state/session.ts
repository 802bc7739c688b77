/** One volume at work: clicks, one after the other; undo and redo; structures; and keeping all of it. */

import type { Answer, Client, Growing } from "../api/client.ts";
import { Refused, isCancelled } from "../api/errors.ts";
import type {
  Ask,
  Box,
  CandidateName,
  Merge,
  Point,
  Result,
  Segmentation,
  Volume,
} from "../api/types.ts";
import { type Mask, NoMask, unpack } from "../mask/packed.ts";
import { History, added } from "./history.ts";
import {
  MOST_STRUCTURES,
  type Structure,
  entriesIn,
  entriesOf,
  foundStructures,
  freshStructure,
} from "./structures.ts";

/** What is being waited for. */
export interface Work {
  readonly since: number;
  readonly points: readonly Point[];
  readonly box: Box | null;
  growing: Growing | null;
}

/** How long the last answer took, ms. */
export interface Timing {
  /** From the click to the mask on the screen. */
  whole: number;
  /** In the service. */
  server: number;
  bytes: number;
}

export interface Watcher {
  /** A structure has another mask to show. */
  mask(structure: Structure, mask: Mask | null): void;
  /** Anything else is different. */
  changed(): void;
  /** For screen readers. */
  say(text: string): void;
  /** For everybody. */
  tell(text: string): void;
  failed(error: unknown, retry: (() => void) | null): void;
}

export class Session {
  readonly volume: Volume;
  readonly history = new History();
  structures: Structure[] = [];
  active: Structure;
  expert = "auto";
  merge: Merge = "overlap";
  work: Work | null = null;
  timing: Timing | null = null;
  result: Result | null = null;

  readonly #client: Client;
  readonly #watcher: Watcher;
  readonly #masks = new Map<string, Mask>();
  #queue: (() => Promise<void>)[] = [];
  #stop: AbortController | null = null;
  #keeping: Promise<void> = Promise.resolve();
  #kept = "";
  /** Clicks that came while what was kept is being fetched; null: it is here. */
  #early: (() => void)[] | null = null;

  constructor(client: Client, volume: Volume, watcher: Watcher) {
    this.#client = client;
    this.volume = volume;
    this.#watcher = watcher;
    this.active = freshStructure([]);
    this.structures = [this.active];
  }

  /** Find again what the service knows of the volume. `resultId`: of its results, where there are several. */
  async restore(resultId: string | null): Promise<void> {
    const { id } = this.volume;
    this.#early ??= [];
    const [all, result] = await Promise.all([this.#client.segmentations(id), this.#resultOf(resultId)]);
    for (const segmentation of all) this.history.add(segmentation);
    this.result = result;
    this.merge = this.result?.merge ?? "overlap";
    this.#kept = JSON.stringify([entriesIn(result), this.merge]);
    const found = foundStructures(this.result, this.history);
    if (found.length > 0) this.structures = found;
    this.active = this.structures.at(-1) as Structure;
    this.#watcher.changed();
    const shown = await Promise.allSettled(this.structures.map((structure) => this.#showHead(structure)));
    for (const one of shown) if (one.status === "rejected") this.#watcher.failed(one.reason, null);
    if (found.length > 0) this.#keep();
    const early = this.#early;
    this.#early = null;
    for (const act of early) act();
  }

  get segmentation(): Segmentation | null {
    return this.active.head === null ? null : (this.history.get(this.active.head) ?? null);
  }

  /** A point or a box, in voxels. They are answered in their order. */
  prompt(points: Point[], box: Box | null, began = performance.now()): void {
    if (this.#early !== null) {
      this.#early.push(() => this.prompt(points, box, began));
      return;
    }
    const structure = this.active;
    this.#enqueue(structure, points, box, began, () => ({
      points,
      box,
      parent: structure.head,
      candidate: structure.head === null ? "fused" : structure.candidate,
      expert: this.expert,
    }));
  }

  /** Ask what the last prompt asked again, of another expert. */
  askAgain(expert: string): void {
    this.expert = expert;
    const structure = this.active;
    const last = this.segmentation;
    // While a click is being answered it is the next one's: the last prompt is not known yet.
    if (last === null || this.#stop !== null || this.#early !== null) return this.#watcher.changed();
    const parent = this.history.parentOf(last);
    const { points, box } = added(last, parent);
    // A mask that somebody brought has no prompt.
    if (points.length === 0 && box === null) return this.#watcher.changed();
    this.#enqueue(structure, points, box, performance.now(), () => ({
      points,
      box,
      parent: parent?.id ?? null,
      candidate: "fused",
      expert,
    }));
  }

  /** Stop what is under way; nothing of it is kept. */
  cancel(): boolean {
    if (this.#stop === null) return false;
    this.#queue = [];
    this.#stop.abort();
    return true;
  }

  /** Go back by one answer; or, while one is made, stop that. */
  undo(): void {
    if (this.#early !== null || this.cancel()) return;
    const { active } = this;
    if (active.head === null) return;
    active.future.push(active.head);
    this.#go(active, active.past.pop() ?? null);
    this.#watcher.say("Undone");
  }

  redo(): void {
    if (this.#early !== null || this.#stop !== null) return;
    const { active } = this;
    const next = active.future.pop();
    if (next === undefined) return;
    if (active.head !== null) active.past.push(active.head);
    this.#go(active, next);
    this.#watcher.say("Redone");
  }

  /** Look at the next of the answer's masks. */
  async nextCandidate(): Promise<void> {
    const names = candidatesOf(this.segmentation);
    if (names.length < 2) return;
    await this.showCandidate(names[(names.indexOf(this.active.candidate) + 1) % names.length]);
  }

  /** Look at one of the answer's masks. */
  async showCandidate(name: CandidateName): Promise<void> {
    const { active, segmentation } = this;
    if (segmentation === null) return;
    try {
      const mask = await this.#maskOf(segmentation.id, name);
      if (active.head !== segmentation.id) return;
      active.candidate = name;
      this.#show(active, mask);
      this.#watcher.say(`Shown: ${candidateText(name, segmentation)}`);
      this.#watcher.changed();
      // What shows is what is kept.
      this.#keep();
    } catch (error) {
      this.#watcher.failed(error, null);
    }
  }

  /** Make the mask that is looked at the answer. */
  keepCandidate(): void {
    const { candidate } = this.active;
    const { segmentation } = this;
    if (candidate === "fused" || segmentation === null) return;
    const before = this.expert;
    const expert = candidate === "general" ? "general" : (segmentation.route.top ?? before);
    this.askAgain(expert);
    this.expert = before;
  }

  choose(structure: Structure): void {
    this.active = structure;
    this.#watcher.changed();
  }

  /** Go on with another structure; one that has nothing yet will do. */
  addStructure(): void {
    const empty = this.structures.find(({ head }) => head === null);
    if (empty === undefined && this.structures.length >= MOST_STRUCTURES) {
      return this.#watcher.tell(`A result has at most ${MOST_STRUCTURES} structures.`);
    }
    if (empty === undefined) this.structures.push(freshStructure(this.structures));
    this.choose(empty ?? (this.structures.at(-1) as Structure));
  }

  remove(structure: Structure): void {
    this.structures = this.structures.filter((one) => one !== structure);
    this.#watcher.mask(structure, null);
    if (this.structures.length === 0) this.structures = [freshStructure([])];
    if (this.active === structure) this.active = this.structures.at(-1) as Structure;
    this.#watcher.changed();
    this.#keep();
  }

  /** Take a removal back. */
  async bringBack(structure: Structure, at: number): Promise<void> {
    // Its number may be another's by now; its place in the list may, too.
    const { number } = freshStructure(this.structures);
    const back = { ...structure, number };
    this.structures = this.structures.filter(({ head }) => head !== null);
    this.structures.splice(at, 0, back);
    this.choose(back);
    this.#keep();
    await this.#showHead(back).catch((error: unknown) => this.#watcher.failed(error, null));
  }

  /** After a name, a colour, a code or the merging was changed. */
  edited(): void {
    this.#watcher.changed();
    this.#keep();
  }

  /** The result with all that was done, for its files. */
  async keptResult(): Promise<Result | null> {
    this.#keep();
    await this.#keeping;
    if (this.#toKeep() !== this.#kept) {
      throw new Error("The result could not be kept yet, so that its files would be old ones.");
    }
    return this.result;
  }

  #enqueue(
    structure: Structure,
    points: readonly Point[],
    box: Box | null,
    began: number,
    ask: () => Ask,
  ): void {
    const run = async (): Promise<void> => {
      const stop = new AbortController();
      this.#stop = stop;
      this.work = { since: performance.now(), points, box, growing: null };
      this.#watcher.changed();
      try {
        const answer = await this.#client.segment(
          this.volume.id,
          ask(),
          (growing) => void this.#grown(structure, growing),
          stop.signal,
        );
        const mask = await this.#read(answer.mask);
        this.work = null;
        this.#answered(structure, answer, mask, began);
      } catch (error) {
        this.work = null;
        await this.#showHead(structure).catch(() => undefined);
        if (isCancelled(error)) this.#watcher.say("Cancelled");
        else {
          this.#queue = [];
          this.#watcher.failed(error, () => this.#start(run));
        }
      } finally {
        this.work = null;
        this.#stop = null;
        this.#watcher.changed();
        const next = this.#queue.shift();
        if (next !== undefined) void next();
      }
    };
    this.#start(run);
  }

  #start(run: () => Promise<void>): void {
    if (this.#stop === null) void run();
    else this.#queue.push(run);
  }

  async #grown(structure: Structure, growing: Growing): Promise<void> {
    const { work } = this;
    const mask = await this.#read(growing.mask);
    // The answer itself may have come meanwhile.
    if (work === null || work !== this.work) return;
    work.growing = growing;
    this.#show(structure, mask);
    this.#watcher.changed();
  }

  #answered(structure: Structure, { segmentation, bytes }: Answer, mask: Mask, began: number): void {
    this.history.add(segmentation);
    this.#masks.set(`${segmentation.id} fused`, mask);
    if (structure.head !== null) structure.past.push(structure.head);
    structure.future = [];
    structure.head = segmentation.id;
    structure.candidate = "fused";
    structure.visible = true;
    this.#show(structure, mask);
    const whole = performance.measure("click to overlay", { start: began }).duration;
    this.timing = { whole, server: serverTime(segmentation), bytes };
    this.#watcher.say(summary(structure, segmentation));
    this.#keep();
  }

  #go(structure: Structure, head: string | null): void {
    structure.head = head;
    structure.candidate = "fused";
    this.timing = null;
    this.#showHead(structure).catch((error: unknown) => this.#watcher.failed(error, null));
    this.#watcher.changed();
    this.#keep();
  }

  async #showHead(structure: Structure): Promise<void> {
    const { head, candidate } = structure;
    const mask = head === null ? null : await this.#maskOf(head, candidate);
    if (structure.head === head) this.#show(structure, mask);
  }

  /** A structure that was removed meanwhile has left its number to another. */
  #show(structure: Structure, mask: Mask | null): void {
    if (this.structures.includes(structure)) this.#watcher.mask(structure, mask);
  }

  async #maskOf(segmentation: string, candidate: CandidateName): Promise<Mask> {
    const name = `${segmentation} ${candidate}`;
    const mask =
      this.#masks.get(name) ?? (await this.#read(await this.#client.mask(segmentation, candidate)));
    this.#masks.set(name, mask);
    return mask;
  }

  async #read(packed: Uint8Array): Promise<Mask> {
    const mask = await unpack(packed);
    if (mask.shape.join() !== this.volume.shape.join()) throw new NoMask("The mask is of another scan.");
    return mask;
  }

  #toKeep(): string {
    return JSON.stringify([entriesOf(this.structures), this.merge]);
  }

  /** Write the result when the one before is written. */
  #keep(): void {
    this.#keeping = this.#keeping.then(async () => {
      const wanted = this.#toKeep();
      if (wanted === this.#kept) return;
      try {
        await this.#write(entriesOf(this.structures));
        this.#kept = wanted;
      } catch (error) {
        this.#watcher.failed(error, () => this.#keep());
      }
    });
  }

  async #write(entries: ReturnType<typeof entriesOf>): Promise<void> {
    if (entries.length === 0) {
      if (this.result !== null) await this.#client.deleteResult(this.result.id);
      this.result = null;
    } else if (this.result !== null && (await this.#isOurs(this.result))) {
      this.result = await this.#client.replaceResult(this.result.id, entries, this.merge);
    } else {
      this.result = await this.#client.addResult(this.volume.id, entries, this.merge);
    }
    this.#watcher.changed();
  }

  /** The result that is named, or else the newest. */
  async #resultOf(name: string | null): Promise<Result | null> {
    if (name !== null) {
      try {
        const named = await this.#client.result(name);
        if (named.volume === this.volume.id) return named;
      } catch (error) {
        if (!(error instanceof Refused && error.status === 404)) throw error;
      }
    }
    return this.#client.newestResult(this.volume.id);
  }

  /** Whether a result is as we left it: what somebody else put into it must not be written over. */
  async #isOurs(result: Result): Promise<boolean> {
    try {
      if ((await this.#client.result(result.id)).revision === result.revision) return true;
      this.#watcher.tell("The result was changed elsewhere: what you do is kept as another one.");
    } catch (error) {
      if (!(error instanceof Refused && error.status === 404)) throw error;
    }
    return false;
  }
}

/** The answer itself, and the masks that it was made of or chosen from. */
export function candidatesOf(segmentation: Segmentation | null): CandidateName[] {
  if (segmentation === null) return [];
  const { used, fused, top } = segmentation.route;
  const names: CandidateName[] = ["fused"];
  if (used !== "general") names.push("general");
  if (top !== null && (used === "general" || fused)) names.push("expert");
  return names;
}

/** What a candidate is, in words. */
export function candidateText(name: CandidateName, segmentation: Segmentation): string {
  if (name === "general") return "general model";
  if (name === "expert") return `expert ${segmentation.route.top ?? ""}`.trim();
  return "the answer";
}

function serverTime(segmentation: Segmentation): number {
  return Object.values(segmentation.timings_ms).reduce((sum, ms) => sum + ms, 0);
}

function summary(structure: Structure, segmentation: Segmentation): string {
  const size = `${structure.label}: ${segmentation.volume_ml.toFixed(1)} millilitres`;
  const doubts = segmentation.warnings.length;
  return doubts === 0 ? size : `${size}, ${doubts} ${doubts === 1 ? "warning" : "warnings"}`;
}
