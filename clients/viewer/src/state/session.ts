/** One volume at work: clicks, one after the other; undo and redo; structures; and keeping all of it. */

import { type Found, NOTHING } from "../address.ts";
import type { Answer, Client, Growing } from "../api/client.ts";
import { Refused, isCancelled } from "../api/errors.ts";
import type { Box, CandidateName, Merge, Point, Result, Segmentation, Volume } from "../api/types.ts";
import type { Mask } from "../mask/packed.ts";
import { candidateText, candidatesOf, decoderOf } from "./candidates.ts";
import { type Click, Clicks } from "./clicks.ts";
import { History, added } from "./history.ts";
import { Keeper } from "./keeper.ts";
import { Masks } from "./masks.ts";
import {
  MOST_STRUCTURES,
  type Structure,
  entriesOf,
  freshStructure,
  headsIn,
  looseHeads,
  renumber,
  structuresAt,
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
  /** The answer's. */
  id: string;
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
  /** The same, with what can be done about it. */
  offer(text: string, action: [string, () => void]): void;
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

  readonly #client: Client;
  /** What the address named. */
  readonly #named: Found;
  readonly #watcher: Watcher;
  readonly #masks: Masks;
  readonly #clicks: Clicks;
  readonly #keeper: Keeper;
  /** Whether what was kept is here; clicks wait for it. */
  #isRestored = false;
  /** Whether there was anything to undo or to remove. */
  #isBegun = false;

  /** `named`: what an address says of the volume. */
  constructor(client: Client, volume: Volume, named: Found, watcher: Watcher) {
    this.#client = client;
    this.volume = volume;
    this.#named = named;
    this.#watcher = watcher;
    this.#masks = new Masks(client, volume);
    this.active = freshStructure([]);
    this.structures = [this.active];
    this.#clicks = new Clicks({
      answer: (click, signal) => this.#ask(click, signal),
      failed: (click, error, waits) => void this.#failed(click, error, waits),
    });
    const wanted = () => ({ entries: entriesOf(this.structures), merge: this.merge });
    this.#keeper = new Keeper(client, volume.id, wanted, watcher);
  }

  /** Find again what was shown, or else what the newest result holds. */
  async restore(): Promise<void> {
    const { id } = this.volume;
    const { result: name, changes } = this.#named;
    const [all, result] = await Promise.all([this.#client.segmentations(id), this.#resultOf(name)]);
    for (const segmentation of all) this.history.add(segmentation);
    this.merge = result?.merge ?? "overlap";
    this.#keeper.found(result);
    // Of the very result that is named, and whole: else it would be written over somebody's work.
    const isUnkept =
      changes !== null &&
      changes.since === (result?.revision ?? 0) &&
      (result?.id ?? NOTHING) === (name ?? NOTHING) &&
      changes.heads.every((head) => this.history.get(head));
    const heads = isUnkept ? changes.heads : headsIn(result);
    this.#isRestored = true;
    await this.#bring(structuresAt(heads, result, this.history));
    // To keep nothing is to delete: an address alone does not.
    if (isUnkept && heads.length > 0) this.#keeper.keep();
    // Among them may be what was undone or removed, so that it is for the user to say.
    else if (!isUnkept && result === null && name === null) this.#offer(looseHeads(this.history));
    this.resume();
  }

  /** Go on with the clicks that wait. Always the same function. */
  readonly resume = (): void => {
    if (this.#isRestored) void this.#clicks.go();
  };

  /** What an address says of what is shown. */
  get found(): Found {
    if (!this.#isRestored) return this.#named;
    const { result, isDone } = this.#keeper;
    const heads = entriesOf(this.structures).map(({ segmentation }) => segmentation);
    const isNothing = heads.length === 0 && (this.#isBegun || this.#named.result !== null);
    return {
      result: result?.id ?? (isNothing ? NOTHING : null),
      changes: isDone ? null : { since: result?.revision ?? 0, heads },
    };
  }

  /** Clicks that are not answered, of all structures. */
  get unanswered(): readonly Click[] {
    return this.#clicks.all();
  }

  /** Whether the service has everything that was done. */
  get isKept(): boolean {
    return this.unanswered.length === 0 && (!this.#isRestored || this.#keeper.isDone);
  }

  /** Whether nothing was said of a structure yet. */
  isBlank(structure: Structure): boolean {
    return structure.head === null && this.#clicks.all(structure).length === 0;
  }

  get canUndo(): boolean {
    return !this.isBlank(this.active);
  }

  get segmentation(): Segmentation | null {
    return this.active.head === null ? null : (this.history.get(this.active.head) ?? null);
  }

  /** How large what shows of a structure is; null: nothing does yet. */
  millilitresOf({ head, candidate }: Structure): number | null {
    const segmentation = head === null ? undefined : this.history.get(head);
    if (segmentation === undefined) return null;
    const other = candidate === "fused" ? undefined : this.#masks.known(segmentation.id, candidate);
    if (other === undefined) return segmentation.volume_ml;
    const [width, height, depth] = this.volume.spacing;
    return (other.count * width * height * depth) / 1000;
  }

  /** A point or a box, in voxels. They are answered in their order. */
  prompt(points: Point[], box: Box | null, began = performance.now()): void {
    const { active: structure, expert } = this;
    const ask = () => ({
      points,
      box,
      parent: structure.head,
      candidate: structure.head === null ? "fused" : structure.candidate,
      expert,
    });
    this.#take({ structure, points, box, began, ask });
  }

  /** Ask what the last prompt asked again, of another expert. */
  askAgain(expert: string): void {
    this.expert = expert;
    const structure = this.active;
    const last = this.segmentation;
    // While a click is being answered it is the next one's: the last prompt is not known yet.
    if (last === null || this.#clicks.all(structure).length > 0) return this.#watcher.changed();
    const parent = this.history.parentOf(last);
    const { points, box } = added(last, parent);
    // A mask that somebody brought has no prompt.
    if (points.length === 0 && box === null) return this.#watcher.changed();
    const candidate = parent === undefined ? "fused" : (last.refined ?? "fused");
    const ask = () => ({ points, box, parent: parent?.id ?? null, candidate, expert });
    this.#take({ structure, points, box, began: performance.now(), ask });
  }

  /** Stop what is under way, and forget what waits; how many clicks there were. */
  cancel(): number {
    const dropped = this.#clicks.drop();
    this.#watcher.changed();
    return dropped;
  }

  /** Take back the last click that is not answered; without one, go back by one answer. */
  undo(): void {
    const { active } = this;
    if (this.#clicks.takeBack(active)) {
      this.#watcher.say("Undone");
      return this.#watcher.changed();
    }
    if (active.head === null) return;
    active.future.push(active.head);
    this.#go(active, active.past.pop() ?? null);
    this.#watcher.say("Undone");
  }

  redo(): void {
    const { active } = this;
    if (this.#clicks.all(active).length > 0) return;
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
      const mask = await this.#masks.of(segmentation.id, name);
      if (active.head !== segmentation.id) return;
      active.candidate = name;
      this.#show(active, mask);
      this.#watcher.say(`Shown: ${candidateText(name, segmentation)}`);
      this.#watcher.changed();
      // What shows is what is kept.
      this.#keeper.keep();
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
    this.askAgain(decoderOf(candidate, segmentation) ?? before);
    this.expert = before;
  }

  choose(structure: Structure): void {
    this.active = structure;
    this.#watcher.changed();
  }

  /** Go on with another structure; one that has nothing yet will do. */
  addStructure(): void {
    const empty = this.structures.find((structure) => this.isBlank(structure));
    if (empty === undefined && this.structures.length >= MOST_STRUCTURES) {
      return this.#watcher.tell(`A result has at most ${MOST_STRUCTURES} structures.`);
    }
    if (empty === undefined) this.structures.push(freshStructure(this.structures));
    this.choose(empty ?? (this.structures.at(-1) as Structure));
  }

  remove(structure: Structure): void {
    this.#clicks.drop((click) => click.structure === structure);
    this.structures = this.structures.filter((one) => one !== structure);
    this.#watcher.mask(structure, null);
    if (this.structures.length === 0) this.structures = [freshStructure([])];
    if (this.active === structure) this.active = this.structures.at(-1) as Structure;
    this.#watcher.changed();
    this.#keeper.keep();
  }

  /** Take a removal back. */
  async bringBack(structure: Structure, at: number): Promise<void> {
    // Its number may be another's by now; its place in the list may, too.
    const { number } = freshStructure(this.structures);
    const back = { ...structure, number };
    this.structures = this.structures.filter((one) => !this.isBlank(one));
    this.structures.splice(at, 0, back);
    this.choose(back);
    this.#keeper.keep();
    await this.#showHead(back).catch((error: unknown) => this.#watcher.failed(error, null));
  }

  /** After a name, a colour, a code or the merging was changed. */
  edited(): void {
    this.#watcher.changed();
    this.#keeper.keep();
  }

  /** The result with all that was done, for its files. */
  async keptResult(): Promise<Result | null> {
    this.#keeper.keep();
    await this.#keeper.done();
    if (!this.#keeper.isDone) {
      throw new Error("The result could not be kept yet, so that its files would be old ones.");
    }
    return this.#keeper.result;
  }

  #offer(heads: readonly string[]): void {
    if (heads.length === 0) return;
    const many = heads.length === 1 ? "1 structure" : `${heads.length} structures`;
    const show = async (): Promise<void> => {
      await this.#bring(structuresAt(heads, null, this.history));
      this.#keeper.keep();
    };
    this.#watcher.offer(`Earlier answers show ${many} here, and no result holds them.`, [
      "Show them",
      () => void show(),
    ]);
  }

  /** Show what was found. */
  async #bring(found: Structure[]): Promise<void> {
    if (found.length > 0) this.#put(found);
    this.#watcher.changed();
    const shown = await Promise.allSettled(found.map((structure) => this.#showHead(structure)));
    for (const one of shown) if (one.status === "rejected") this.#watcher.failed(one.reason, null);
    this.#watcher.changed();
  }

  /** Put what was found before what was clicked on meanwhile. */
  #put(found: Structure[]): void {
    this.#isBegun = true;
    const clicked = this.structures.filter((structure) => !this.isBlank(structure));
    const wasClicked = clicked.includes(this.active);
    this.structures = found;
    for (const structure of clicked) {
      renumber(structure, this.structures);
      this.structures.push(structure);
    }
    if (!wasClicked) this.active = this.structures.at(-1) as Structure;
  }

  #take(click: Click): void {
    this.#clicks.add(click);
    this.#watcher.changed();
    this.resume();
  }

  async #ask({ structure, points, box, began, ask }: Click, signal: AbortSignal): Promise<void> {
    this.work = { since: performance.now(), points, box, growing: null };
    this.#watcher.changed();
    try {
      const grown = (growing: Growing) => void this.#grown(structure, growing);
      const answer = await this.#client.segment(this.volume.id, ask(), grown, signal);
      const mask = await this.#masks.read(answer.mask);
      signal.throwIfAborted();
      this.work = null;
      this.#answered(structure, answer, mask, began);
    } finally {
      this.work = null;
      this.#watcher.changed();
    }
  }

  async #failed({ structure }: Click, error: unknown, waits: boolean): Promise<void> {
    this.#watcher.changed();
    if (isCancelled(error)) this.#watcher.say("Cancelled");
    else this.#watcher.failed(error, waits ? this.resume : null);
    // In place of what had grown.
    await this.#showHead(structure).catch(() => undefined);
  }

  async #grown(structure: Structure, growing: Growing): Promise<void> {
    const { work } = this;
    const mask = await this.#masks.read(growing.mask);
    // The answer itself may have come meanwhile.
    if (work === null || work !== this.work) return;
    work.growing = growing;
    this.#show(structure, mask);
    this.#watcher.changed();
  }

  #answered(structure: Structure, { segmentation, bytes }: Answer, mask: Mask, began: number): void {
    this.#isBegun = true;
    this.history.add(segmentation);
    this.#masks.add(segmentation.id, "fused", mask);
    if (structure.head !== null) structure.past.push(structure.head);
    structure.future = [];
    structure.head = segmentation.id;
    structure.candidate = "fused";
    structure.visible = true;
    this.#show(structure, mask);
    const whole = performance.measure("click to overlay", { start: began }).duration;
    this.timing = { id: segmentation.id, whole, server: serverTime(segmentation), bytes };
    this.#watcher.say(summary(structure, segmentation));
    this.#keeper.keep();
  }

  #go(structure: Structure, head: string | null): void {
    structure.head = head;
    structure.candidate = "fused";
    this.timing = null;
    this.#showHead(structure).catch((error: unknown) => this.#watcher.failed(error, null));
    this.#watcher.changed();
    this.#keeper.keep();
  }

  async #showHead(structure: Structure): Promise<void> {
    const { head, candidate } = structure;
    const mask = head === null ? null : await this.#masks.of(head, candidate);
    if (structure.head === head) this.#show(structure, mask);
  }

  /** A structure that was removed meanwhile has left its number to another. */
  #show(structure: Structure, mask: Mask | null): void {
    if (this.structures.includes(structure)) this.#watcher.mask(structure, mask);
  }

  /** The result that is named, or else the newest. */
  async #resultOf(name: string | null): Promise<Result | null> {
    if (name === NOTHING) return null;
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
}

function serverTime(segmentation: Segmentation): number {
  return Object.values(segmentation.timings_ms).reduce((sum, ms) => sum + ms, 0);
}

function summary(structure: Structure, segmentation: Segmentation): string {
  const size = `${structure.label}: ${segmentation.volume_ml.toFixed(1)} millilitres`;
  const doubts = segmentation.warnings.length;
  return doubts === 0 ? size : `${size}, ${doubts} ${doubts === 1 ? "warning" : "warnings"}`;
}
