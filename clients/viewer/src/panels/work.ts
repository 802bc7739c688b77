/** What is being waited for, at the foot of the scan: said only when it takes longer than a blink. */

import { h } from "../dom.ts";
import type { Work } from "../state/session.ts";

const BLINK_MS = 400;
const TICK_MS = 200;

export class WorkBar {
  readonly element: HTMLElement;
  readonly #text = h("span", { id: "work-text" });
  readonly #bar = h("progress", { max: 1, "aria-labelledby": "work-text" });
  #timer = 0;

  constructor(cancel: () => void) {
    const button = h("button", { onclick: cancel }, "Cancel (Esc)");
    this.element = h("div", { class: "work", hidden: true }, this.#bar, this.#text, button);
  }

  /** `waiting`: clicks that are not answered, that of the work included. */
  update(work: Work | null, waiting: number): void {
    clearTimeout(this.#timer);
    const waited = work === null ? 0 : performance.now() - work.since;
    this.element.hidden = waited < BLINK_MS && (work !== null || waiting === 0);
    this.#bar.hidden = work === null;
    if (work === null) {
      this.#text.textContent = waiting === 1 ? "1 click waits" : `${waiting} clicks wait`;
      return;
    }
    const seconds = (waited / 1000).toFixed(0);
    const { growing } = work;
    const what =
      growing === null
        ? `Reading this region for the first time, ${seconds} s`
        : `Following the mask: ${growing.windows} windows, ${seconds} s`;
    const more = waiting > 1 ? `; ${waiting - 1} more to come` : "";
    this.#text.textContent = `${what}${more}`;
    this.#timer = window.setTimeout(() => this.update(work, waiting), TICK_MS);
  }

  /** A share of something that is loaded, 0 to 1; null: done. */
  loading(text: string, share: number | null): void {
    clearTimeout(this.#timer);
    this.element.hidden = share === null;
    this.#bar.hidden = false;
    this.#text.textContent = text;
    if (share === null) this.#bar.removeAttribute("value");
    else this.#bar.value = share;
  }
}
