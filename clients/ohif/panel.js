/** The panel: all that the session knows, and buttons for all that it can do. */

import { element } from './elements.js';
import { SHORTCUTS } from './keys.js';
import { StructureList } from './structure-list.js';

/** @type {['inside' | 'outside' | 'box', string, string, string][]} */
const TOOLS = [
  ['inside', '+', 'Inside', 'Click on the structure (A)'],
  ['outside', '−', 'Outside', 'Click beside it (S)'],
  ['box', '▢', 'Box', 'Draw a box around it (B)'],
];
const CANDIDATES = { fused: 'Answer', general: 'General', expert: 'Expert', rival: 'Second' };

export class Panel {
  /** @param {import('./controller.js').Controller} controller */
  constructor(controller) {
    this.controller = controller;
    this.helping = false;
    this.root = element('section', { class: 'sammoe', 'aria-label': 'SAM-Med3D-MoE' });
    this.status = element('p', { class: 'sammoe-status', role: 'status' });
    this.above = element('div', { class: 'sammoe-some' });
    this.structures = new StructureList();
    this.below = element('div', { class: 'sammoe-some' });
    this.root.append(this.status, element('div', { class: 'sammoe-body' }, this.above, this.structures.root, this.below));
    this.ticking = null;
  }

  /** Show what is. */
  show() {
    const { session } = this.controller;
    this.#tick(session);
    this.structures.show(session);
    if (!session) {
      this.above.replaceChildren(element('p', { class: 'sammoe-hint' }, 'Open a CT or MR series in the active viewport.'));
      this.below.replaceChildren();
      return;
    }
    const at = document.activeElement?.getAttribute('data-sammoe');
    this.above.replaceChildren(...[this.#problem(session), this.#tools(), this.#steps(session)].filter(Boolean));
    this.below.replaceChildren(this.#answer(session), this.#saving(session), this.#help());
    if (at) this.root.querySelector(`[data-sammoe="${at}"]`)?.focus();
  }

  #tick(session) {
    this.status.textContent = statusOf(session, this.controller);
    this.root.setAttribute('aria-busy', String(Boolean(session) && session.work.what !== 'idle'));
    if (session && session.work.what !== 'idle') {
      this.ticking ??= setInterval(() => this.#tick(this.controller.session), 250);
    } else {
      clearInterval(this.ticking);
      this.ticking = null;
    }
  }

  #problem(session) {
    const { unreachable } = this.controller;
    const problem =
      session.problem ??
      (unreachable && { message: unreachable.message, retry: () => this.controller.learn() });
    if (!problem) return null;
    return element(
      'div',
      { class: 'sammoe-problem', role: 'alert' },
      problem.message,
      problem.retry && button('again', 'Try again', () => problem.retry())
    );
  }

  #tools() {
    const { tool } = this.controller;
    return element(
      'div',
      { class: 'sammoe-row', role: 'group', 'aria-label': 'Tool' },
      ...TOOLS.map(([name, sign, label, title]) =>
        button(name, `${sign} ${label}`, () => this.controller.use(name), { title, 'aria-pressed': String(tool === name) })
      )
    );
  }

  #steps(session) {
    const busy = session.work.what !== 'idle';
    return element(
      'div',
      { class: 'sammoe-row', role: 'group', 'aria-label': 'Steps' },
      button('undo', '↶ Undo', () => session.undo(), { disabled: !session.canUndo, title: 'Undo (U)' }),
      button('redo', '↷ Redo', () => session.redo(), { disabled: !session.canRedo || busy, title: 'Redo (Y)' }),
      button('cancel', '✕ Stop', () => session.cancel(), { disabled: !busy, title: 'Stop (Esc)' })
    );
  }

  #answer(session) {
    const experts = this.controller.capabilities?.experts ?? [];
    const choices = [['auto', 'Auto: the gate decides'], ['general', 'General'], ...namesOf(experts)];
    const { expert } = session.structure;
    const choice = element(
      'select',
      { 'aria-label': 'Who answers', 'data-sammoe': 'expert', change: event => session.ask(event.target.value) },
      ...choices.map(([value, label]) => element('option', { value, selected: value === expert }, label))
    );
    const { step } = session;
    return element(
      'div',
      { class: 'sammoe-part' },
      element('h2', {}, 'Who answers'),
      choice,
      ...(step ? [candidates(session, step), bars(step.segmentation.route, experts), ...warnings(step), timings(step)] : [])
    );
  }

  #saving(session) {
    const nothing = !session.drawn.length;
    const busy = session.work.what !== 'idle';
    return element(
      'div',
      { class: 'sammoe-part' },
      button('save', 'Save SEG to PACS', () => session.save(), { class: 'sammoe-main', disabled: nothing || busy }),
      session.saved &&
        element('p', { class: 'sammoe-saved', role: 'status' }, `Saved, revision ${session.saved.revision}. It shows when the study is opened again.`)
    );
  }

  #help() {
    const keys = SHORTCUTS.flatMap(([key, what]) => [element('dt', {}, element('kbd', {}, key)), element('dd', {}, what)]);
    return element(
      'details',
      { class: 'sammoe-help', open: this.helping, toggle: event => (this.helping = event.target.open) },
      element('summary', {}, 'Keys'),
      element('dl', {}, ...keys),
      element('p', {}, 'Research use only. Not a medical device.')
    );
  }
}

/** What experts are called: by label, and by modality where two have the same. @returns {Map<string, string>} */
function namesOf(experts) {
  const alone = one => experts.filter(other => other.label === one.label).length === 1;
  return new Map(experts.map(one => [one.name, alone(one) ? one.label : `${one.label} (${one.modalities.join(', ')})`]));
}

function statusOf(session, controller) {
  if (!session) return '';
  const { what, since, windows } = session.work;
  const seconds = ((Date.now() - since) / 1000).toFixed(0);
  const { length } = session.waiting;
  const waits = length === 1 ? '1 click waits' : `${length} clicks wait`;
  switch (what) {
    case 'opening':
      return `Getting the series ... ${seconds} s${length ? `; ${waits}` : ''}`;
    case 'thinking':
      return windows ? `Following the structure: ${windows} windows, ${seconds} s` : `Looking ... ${seconds} s`;
    case 'saving':
      return `Saving ... ${seconds} s`;
  }
  if (length) return waits;
  if (session.step) return `Click again to correct ${session.structure.label}`;
  return controller.tool ? 'Click on a structure' : 'Choose a tool, then click on a structure';
}

function candidates(session, step) {
  const offered = session.candidates;
  return element(
    'div',
    { class: 'sammoe-row', role: 'group', 'aria-label': 'Candidate', title: 'Next candidate (Tab)' },
    ...offered.map(name =>
      button(`candidate-${name}`, CANDIDATES[name], () => session.choose(name), { 'aria-pressed': String(step.candidate === name) })
    )
  );
}

/** The gate's score of each expert, as bars with a mark at tau. */
function bars(route, experts) {
  const names = namesOf(experts);
  const scores = Object.entries(route.scores).sort((a, b) => b[1] - a[1]);
  const made = scores.map(([name, score]) =>
    element(
      'div',
      { class: `sammoe-bar${name === route.used ? ' sammoe-used' : ''}` },
      element('span', { class: 'sammoe-name', title: names.get(name) ?? name }, names.get(name) ?? name),
      element(
        'span',
        { class: 'sammoe-track', role: 'meter', 'aria-label': names.get(name) ?? name, 'aria-valuenow': score.toFixed(2), 'aria-valuemin': 0, 'aria-valuemax': 1 },
        element('span', { class: 'sammoe-fill', style: `width: ${(100 * score).toFixed(1)}%` }),
        route.tau === null ? null : element('span', { class: 'sammoe-tau', title: `tau ${route.tau}`, style: `left: ${100 * route.tau}%` })
      ),
      element('span', { class: 'sammoe-score' }, score.toFixed(2))
    )
  );
  const used = names.get(route.used) ?? route.used;
  const told = [`Drawn by ${used}${route.fused ? ', fused with general' : ''}.`];
  if (route.check === 'rejected') told.push(`The mask of ${names.get(route.top) ?? route.top} does not fit the prompt.`);
  return element('div', { class: 'sammoe-gate' }, element('p', {}, told.join(' ')), ...made);
}

function warnings({ segmentation }) {
  return segmentation.warnings.map(({ code, detail }) => element('p', { class: 'sammoe-warning', 'data-code': code }, `⚠ ${detail}`));
}

function timings({ segmentation }) {
  const { total, ...phases } = segmentation.timings_ms;
  const sum = total ?? Object.values(phases).reduce((all, ms) => all + ms, 0);
  const parts = Object.entries(phases).map(([phase, ms]) => `${phase} ${ms.toFixed(0)}`);
  return element('p', { class: 'sammoe-timings', title: parts.join(', ') }, `${sum.toFixed(0)} ms (${parts.join(', ')})`);
}

function button(name, label, click, attributes = {}) {
  return element('button', { type: 'button', 'data-sammoe': name, click, ...attributes }, label);
}
