/** The list of structures: which one is clicked on, its name, colour, size; and making another. */

import type { Session } from "../state/session.ts";
import type { Structure } from "../state/structures.ts";
import { h, icon, setText, setValue } from "../dom.ts";
import { ICONS } from "../icons.ts";

export interface StructureActs {
  choose(structure: Structure): void;
  rename(structure: Structure, label: string): void;
  edit(structure: Structure): void;
  see(structure: Structure): void;
  remove(structure: Structure): void;
  add(): void;
}

interface Row {
  element: HTMLElement;
  update(structure: Structure, chosen: boolean, size: string): void;
}

export class StructuresPanel {
  readonly element: HTMLElement;
  readonly #acts: StructureActs;
  readonly #list = h("ul", { class: "structures" });
  readonly #rows = new Map<Structure, Row>();

  constructor(acts: StructureActs) {
    this.#acts = acts;
    const add = h("button", { class: "quiet", onclick: () => acts.add(), "aria-keyshortcuts": "n" });
    add.append(icon(ICONS.add), "New");
    this.element = h(
      "section",
      { "aria-label": "Structures" },
      h("header", { class: "row" }, h("h2", {}, "Structures"), add),
      this.#list,
    );
  }

  update(session: Session): void {
    const { structures, active } = session;
    for (const [structure, row] of this.#rows) {
      if (structures.includes(structure)) continue;
      row.element.remove();
      this.#rows.delete(structure);
    }
    for (const structure of structures) {
      let row = this.#rows.get(structure);
      if (row === undefined) {
        row = this.#row(structure);
        this.#rows.set(structure, row);
        this.#list.append(row.element);
      }
      const ml = session.millilitresOf(structure);
      row.update(structure, structure === active, ml === null ? "" : millilitres(ml));
    }
  }

  #row(structure: Structure): Row {
    const acts = this.#acts;
    const swatch = h("button", { class: "swatch", onclick: () => acts.edit(structure) });
    const label = h("input", { class: "label", maxlength: 64, spellcheck: "false" });
    // Who comes here with Tab passes by, or changes the name; Enter chooses it.
    label.onpointerdown = () => acts.choose(structure);
    label.onchange = () => acts.rename(structure, label.value);
    label.onkeydown = (event) => {
      if (event.key === "Enter") acts.choose(structure);
      if (event.key === "Enter" || event.key === "Escape") label.blur();
      event.stopPropagation();
    };
    const size = h("span", { class: "size" });
    const see = h("button", { class: "quiet tool", onclick: () => acts.see(structure) });
    const remove = h("button", { class: "quiet tool", onclick: () => acts.remove(structure) });
    remove.append(icon(ICONS.remove));
    const element = h("li", {}, swatch, label, size, see, remove);
    element.onclick = (event) => {
      if (event.target === element || event.target === size) acts.choose(structure);
    };
    return {
      element,
      update(now, chosen, text) {
        element.classList.toggle("chosen", chosen);
        if (chosen) element.setAttribute("aria-current", "true");
        else element.removeAttribute("aria-current");
        swatch.style.backgroundColor = `rgb(${now.colour.join(" ")})`;
        swatch.setAttribute("aria-label", `Colour and code of ${now.label}`);
        swatch.title = now.code === null ? "Colour and code" : `${now.code.meaning} (${now.code.value})`;
        if (document.activeElement !== label) setValue(label, now.label);
        label.setAttribute("aria-label", `Name of ${now.label}`);
        setText(size, text);
        if (see.ariaPressed !== String(now.visible)) {
          see.replaceChildren(icon(now.visible ? ICONS.eye : ICONS.hidden));
        }
        see.setAttribute("aria-label", `Show ${now.label}`);
        see.setAttribute("aria-pressed", String(now.visible));
        remove.setAttribute("aria-label", `Remove ${now.label}`);
      },
    };
  }
}

export function millilitres(ml: number): string {
  return `${ml < 10 ? ml.toFixed(2) : ml.toFixed(1)} ml`;
}
