/**
 * What is being drawn on one volume: structures, each with a line of answers to go back and forth on;
 * clicks that wait; what the service is doing. Knows no viewer and no page.
 *
 * Clicks are answered one request after the other. Those that come meanwhile wait, and go together.
 *
 * @typedef {import('./packed.js').Mask} Mask
 * @typedef {'fused' | 'general' | 'expert' | 'rival'} Candidate
 * @typedef {{position?: number[], label?: 0 | 1, box?: number[][]}} Prompt voxel indices
 * @typedef {(volume: any) => Prompt | null} Locate where in the volume something was clicked; null: beside it
 * @typedef {{segmentation: any, candidate: Candidate, masks: Map<Candidate, Mask>, prompts: Prompt[]}} Step
 * @typedef {{number: number, label: string, colour: number[], expert: string, steps: Step[], at: number,
 *   growing: Mask | null}} Structure `at`: the step that shows, -1 before the first
 * @typedef {{what: 'idle' | 'opening' | 'thinking' | 'saving', since: number, windows: number}} Work
 */

import { empty } from './packed.js';
import { COLOURS, kindOf } from './structures.js';

/** @type {Work} */
const IDLE = { what: 'idle', since: 0, windows: 0 };

export class Session {
  /**
   * @param {import('./service.js').Service} service
   * @param {{study: string, series: string}} series of the PACS
   * @param {() => void} changed called after every change
   */
  constructor(service, series, changed = () => {}) {
    this.service = service;
    this.series = series;
    this.changed = () => {};
    /** @type {any} */
    this.volume = null;
    /** Names of the bundle's experts, as far as they are known. @type {string[]} */
    this.experts = [];
    /** @type {Work} */
    this.work = IDLE;
    /** @type {{code: string, message: string, retry: (() => void) | null} | null} */
    this.problem = null;
    /** @type {Structure[]} */
    this.structures = [];
    this.active = 0;
    /** `prompt`: null until the volume is there. @type {{structure: Structure, locate: Locate, prompt: Prompt | null}[]} */
    this.waiting = [];
    this.result = null;
    this.saved = null;
    this.abort = null;
    /** @type {Promise<void> | null} */
    this.opening = null;
    this.add();
    this.changed = changed;
  }

  /** The structure that clicks are for. */
  get structure() {
    return this.structures[this.active];
  }

  /** The answer that shows of it; null before the first. @returns {Step | null} */
  get step() {
    return shownStep(this.structure);
  }

  /** Get the volume, and have its middle prepared. Who calls while that goes on waits for the same. */
  open() {
    if (this.volume) return Promise.resolve();
    this.opening ??= this.#open().finally(() => (this.opening = null));
    return this.opening;
  }

  async #open() {
    await this.#working('opening', () => this.open(), async signal => {
      this.volume = await this.service.open(this.series.study, this.series.series, signal);
    });
    // What may go well a moment later is not lost; what was refused is.
    if (this.problem && !this.problem.retry) this.waiting = [];
    if (!this.volume) return;
    this.service.prepare(this.volume.id, {}).catch(() => {});
    this.#locate();
    await this.#answer();
  }

  /** Take a click or a box for a structure. @param {Prompt | Locate} asked */
  async prompt(asked, structure = this.structure) {
    const locate = typeof asked === 'function' ? asked : () => asked;
    this.waiting.push({ structure, locate, prompt: null });
    if (this.volume) this.#locate();
    this.problem = null;
    this.changed();
    if (this.work.what !== 'idle') return;
    await (this.volume ? this.#answer() : this.open());
  }

  /** Stop what is under way, and forget the clicks that wait. */
  cancel() {
    this.waiting = [];
    this.abort?.abort(new DOMException('cancelled', 'AbortError'));
    this.problem = null;
    this.changed();
  }

  /** Take back the last click that waits; without one stop the answer that is made, or go back by one. */
  undo() {
    const last = this.waiting.findLast(one => one.structure === this.structure);
    if (last) {
      this.waiting = this.waiting.filter(one => one !== last);
      return this.changed();
    }
    if (this.work.what === 'thinking') return this.cancel();
    this.#go(-1);
  }

  /** Go forth again. */
  redo() {
    this.#go(1);
  }

  get canUndo() {
    const waits = this.waiting.some(one => one.structure === this.structure);
    return this.structure.at >= 0 || waits || this.work.what === 'thinking';
  }

  get canCancel() {
    return this.work.what !== 'idle' || this.waiting.length > 0 || this.problem !== null;
  }

  get canRedo() {
    return this.structure.at < this.structure.steps.length - 1;
  }

  /** Masks of the answer that shows which differ from each other. @returns {Candidate[]} */
  get candidates() {
    const route = this.step?.segmentation.route;
    if (!route || route.used === 'given-mask') return [];
    const isGeneral = route.used === 'general' && !route.fused;
    const isExpert = route.used !== 'general' && !route.fused;
    const expert = !isExpert && this.experts.length > 0 && 'expert';
    const rival = Boolean(route.rival) && 'rival';
    // The likelier one first: 1 - s_top is what the best expert's score leaves to nobody.
    const torn = !isGeneral && route.scores?.[route.rival] > 1 - route.s_top;
    const others = [torn && rival, !isGeneral && 'general', expert, !torn && rival];
    return /** @type {Candidate[]} */ (['fused', ...others.filter(Boolean)]);
  }

  /** Show the next of an answer's masks; going on from there refines that one. */
  async nextCandidate() {
    const offered = this.candidates;
    if (!this.step || offered.length < 2) return;
    await this.choose(offered[(offered.indexOf(this.step.candidate) + 1) % offered.length]);
  }

  /** Show one of an answer's masks. @param {Candidate} candidate */
  async choose(candidate) {
    const step = this.step;
    if (!step || this.work.what !== 'idle') return;
    if (!step.masks.has(candidate)) {
      await this.#working('thinking', () => this.choose(candidate), async signal => {
        const id = step.segmentation.id;
        step.masks.set(candidate, await this.service.candidate(id, candidate, signal));
      });
    }
    if (!step.masks.has(candidate)) return;
    step.candidate = candidate;
    this.#touched();
  }

  /** Begin another structure. */
  add() {
    const number = this.structures.length + 1;
    const colour = COLOURS[(number - 1) % COLOURS.length];
    const last = this.structures.at(-1);
    this.structures.push({
      number,
      colour,
      label: `Structure ${number}`,
      expert: last?.expert ?? 'auto',
      steps: [],
      at: -1,
      growing: null,
    });
    this.activate(this.structures[number - 1]);
  }

  /** Let clicks be for another structure. @param {Structure} structure */
  activate(structure) {
    this.active = this.structures.indexOf(structure);
    this.changed();
  }

  /** Call a structure something else. */
  rename(label, structure = this.structure) {
    structure.label = label.trim().slice(0, 64) || `Structure ${structure.number}`;
    this.#touched();
  }

  /** Choose who answers the next clicks: `auto`, `general`, or an expert's name. */
  ask(expert) {
    this.structure.expert = expert;
    this.changed();
  }

  /** What shows of a structure. @param {Structure} structure @returns {Mask} */
  maskOf(structure) {
    const step = shownStep(structure);
    return structure.growing ?? step?.masks.get(step.candidate) ?? empty(this.volume.shape);
  }

  /** Clicks that a structure's answer knows, and those that wait. @returns {Prompt[]} */
  promptsOf(structure) {
    const waiting = this.waiting.filter(one => one.structure === structure && one.prompt);
    return [...(shownStep(structure)?.prompts ?? []), ...waiting.map(one => one.prompt)];
  }

  /** Structures that have a mask. */
  get drawn() {
    return this.structures.filter(one => shownStep(one) && this.maskOf(one).count > 0);
  }

  /** Whether something was drawn, or is being drawn or saved, that the PACS does not have. */
  get isUnsaved() {
    const isBusy = ['thinking', 'saving'].includes(this.work.what) || this.waiting.length > 0;
    return isBusy || (!this.saved && this.drawn.length > 0);
  }

  /**
   * The kind of SEG to save. OHIF 3.13.2 shows another mask than a BINARY one has, unless each of its
   * frames fills whole bytes: see docs/dicom.md.
   */
  get form() {
    const [columns, rows] = this.volume.shape;
    return (columns * rows) % 8 ? 'labelmap' : 'seg';
  }

  /** Keep all structures as a result of the service, and send it to the PACS. */
  async save() {
    const drawn = this.drawn;
    if (!drawn.length || this.work.what !== 'idle') return;
    const body = { entries: drawn.map(entryOf), merge: 'overwrite' };
    await this.#working('saving', () => this.save(), async signal => {
      const kept = await this.service.keep(this.volume.id, this.result, body, signal);
      this.result = kept.id;
      const stored = await this.service.store(kept.id, [this.form], signal);
      this.saved = { revision: kept.revision, items: stored.items };
    });
  }

  async #answer() {
    while (this.waiting.length && !this.problem) {
      const { structure } = this.waiting[0];
      const asked = this.#take(structure);
      const before = shownStep(structure);
      let made = null;
      await this.#working('thinking', () => this.#answer(), async signal => {
        const body = bodyOf(structure, asked.map(one => one.prompt), before);
        made = await this.service.click(this.volume.id, body, signal, grown => {
          this.work = { ...this.work, windows: grown.windows };
          structure.growing = grown.mask;
          this.changed();
        });
      });
      structure.growing = null;
      if (made) this.#keep(structure, made, [...(before?.prompts ?? []), ...asked.map(one => one.prompt)]);
      // What may go well a moment later is not lost; what was refused is.
      else if (this.problem?.retry) this.waiting.unshift(...asked);
      this.changed();
    }
  }

  /** Clicks are places of the viewer's until the volume is there; those beside it are none. */
  #locate() {
    for (const one of this.waiting) one.prompt ??= one.locate(this.volume);
    this.waiting = this.waiting.filter(one => one.prompt);
  }

  /** The clicks at the front of the queue that one request can carry. */
  #take(structure) {
    const taken = [];
    while (this.waiting[0]?.structure === structure) {
      // A request has one box, and the second replaces the first.
      if (this.waiting[0].prompt.box && taken.some(({ prompt }) => prompt.box)) break;
      taken.push(this.waiting.shift());
    }
    return taken;
  }

  #keep(structure, { segmentation, mask }, prompts) {
    const step = { segmentation, prompts, candidate: 'fused', masks: new Map([['fused', mask]]) };
    structure.steps = [...structure.steps.slice(0, structure.at + 1), step];
    structure.at += 1;
    this.saved = null;
  }

  #go(by) {
    const at = this.structure.at + by;
    if (this.work.what !== 'idle' || at < -1 || at >= this.structure.steps.length) return;
    this.structure.at = at;
    this.problem = null;
    this.#touched();
  }

  #touched() {
    this.saved = null;
    this.changed();
  }

  /**
   * Do something that takes time: one at a time, can be stopped, and a failure is told.
   *
   * @param {Work['what']} what
   * @param {() => any} retry
   * @param {(signal: AbortSignal) => Promise<void>} work
   */
  async #working(what, retry, work) {
    this.abort = new AbortController();
    this.work = { what, since: Date.now(), windows: 0 };
    this.problem = null;
    this.changed();
    try {
      await work(this.abort.signal);
    } catch (error) {
      if (!this.abort.signal.aborted) this.#failed(error, retry);
    } finally {
      this.abort = null;
      this.work = IDLE;
      this.changed();
    }
  }

  #failed(error, retry) {
    if (!error.code) console.error(error);
    this.problem = {
      code: error.code ?? 'failed',
      message: error.message,
      retry: error.isPassing
        ? () => {
            this.problem = null;
            return retry();
          }
        : null,
    };
  }
}

/** @param {Structure} structure @returns {Step | null} */
function shownStep(structure) {
  return structure.steps[structure.at] ?? null;
}

/** The body of a request, as docs/api.md tells. */
export function bodyOf(structure, prompts, before) {
  const box = prompts.findLast(prompt => prompt.box)?.box;
  const points = prompts
    .filter(prompt => prompt.position)
    .map(({ position, label }) => ({ position, label }));
  return {
    space: 'voxel',
    points,
    expert: structure.expert,
    ...(box ? { box } : {}),
    ...(before ? { parent: before.segmentation.id, candidate: before.candidate } : {}),
  };
}

/** A structure as an entry of a result. */
export function entryOf(structure) {
  const step = shownStep(structure);
  const kind = kindOf(structure.label);
  return {
    segmentation: step.segmentation.id,
    candidate: step.candidate,
    label: structure.label,
    colour: structure.colour,
    ...(kind ? { code: kind.code } : {}),
    ...(kind?.category ? { category: kind.category } : {}),
  };
}
