/** The structures in the panel. Its rows stay while they are typed in, whatever else is drawn anew. */

import { element } from './elements.js';
import { KINDS } from './structures.js';

const KNOWN = 'sammoe-kinds';

export class StructureList {
  constructor() {
    /** @type {import('./session.js').Session} */
    this.session = null;
    /** @type {Map<import('./session.js').Structure, {root: HTMLElement, name: HTMLInputElement, volume: HTMLElement}>} */
    this.rows = new Map();
    this.list = element('ul', { class: 'sammoe-structures' });
    const known = element('datalist', { id: KNOWN }, ...KINDS.map(({ label }) => element('option', { value: label })));
    const add = element(
      'button',
      { type: 'button', 'data-sammoe': 'add', title: 'New structure (N)', click: () => this.session.add() },
      '+ New structure'
    );
    this.root = element('div', { class: 'sammoe-part' }, element('h2', {}, 'Structures'), this.list, add, known);
  }

  /** Show those of a session, or none. @param {import('./session.js').Session | null} session */
  show(session) {
    this.session = session;
    this.root.hidden = !session;
    const structures = session?.structures ?? [];
    for (const [structure, { root }] of this.rows) {
      if (structures.includes(structure)) continue;
      root.remove();
      this.rows.delete(structure);
    }
    for (const structure of structures) {
      if (!this.rows.has(structure)) this.#add(structure);
      this.#update(structure);
    }
  }

  #add(structure) {
    const choose = () => this.session.structure !== structure && this.session.activate(structure);
    const name = element('input', {
      maxlength: 64,
      list: KNOWN,
      'aria-label': `Name of structure ${structure.number}`,
      // Who comes here with Tab passes by, or changes the name; Enter chooses it.
      pointerdown: choose,
      change: event => this.session.rename(event.target.value, structure),
      keydown: event => {
        if (event.key !== 'Enter') return;
        choose();
        event.target.blur();
      },
    });
    const volume = element('span', { class: 'sammoe-volume' });
    const swatch = element('span', { class: 'sammoe-swatch', style: `background: rgb(${structure.colour})` });
    const root = element('li', { click: choose }, swatch, name, volume);
    this.rows.set(structure, { root, name, volume });
    this.list.append(root);
  }

  #update(structure) {
    const { session } = this;
    const { root, name, volume } = this.rows.get(structure);
    const isActive = structure === session.structure;
    root.classList.toggle('sammoe-active', isActive);
    if (isActive) root.setAttribute('aria-current', 'true');
    else root.removeAttribute('aria-current');
    // Who types a name goes on typing.
    if (document.activeElement !== name) name.value = structure.label;
    const ml = session.volume ? session.maskOf(structure).count * voxelMl(session.volume) : 0;
    volume.textContent = ml ? `${ml.toFixed(ml < 10 ? 1 : 0)} ml` : '';
  }
}

function voxelMl({ spacing }) {
  return (spacing[0] * spacing[1] * spacing[2]) / 1000;
}
