/** The bar above the scan: opening another, what is shown, and its grey values. */

import type { Volume } from "../api/types.ts";
import { h, icon } from "../dom.ts";
import { ICONS } from "../icons.ts";
import { WINDOWS } from "../windows.ts";
import { describe } from "./open.ts";

export interface TopActs {
  open(): void;
  /** Show a range of grey values; null: what suits the scan. */
  window(range: [number, number] | null): void;
}

const AUTOMATIC = "Grey values: automatic";

export class TopBar {
  readonly element: HTMLElement;
  readonly #acts: TopActs;
  readonly #title = h("span", { class: "scan" });
  readonly #windows = h("select", { "aria-label": "Grey values", hidden: true });

  constructor(acts: TopActs) {
    this.#acts = acts;
    const open = h("button", { class: "primary", onclick: () => acts.open() });
    open.append(icon(ICONS.open), "Open");
    this.#windows.replaceChildren(
      ...[AUTOMATIC, ...Object.keys(WINDOWS)].map((name) => h("option", { value: name }, name)),
    );
    this.#windows.onchange = () => this.#choose(this.#windows.value);
    this.element = h(
      "header",
      { class: "top" },
      h("h1", {}, "SAM-Med3D-MoE"),
      open,
      this.#title,
      this.#windows,
    );
  }

  /** Name a scan, and give it the grey values of its kind. */
  describe(volume: Volume, name: string | null): void {
    this.name(volume, name);
    document.title = `${kindOf(volume)}, ${volume.shape.join(" × ")}: SAM-Med3D-MoE`;
    this.#windows.hidden = volume.modality !== "CT";
    if (volume.modality === "CT") this.#choose("Soft tissue");
  }

  name(volume: Volume, name: string | null): void {
    this.#title.textContent = `${name ?? kindOf(volume)}: ${describe(volume)}`;
  }

  /** Go back to the grey values that suit the scan. */
  reset(): void {
    this.#choose(AUTOMATIC);
  }

  #choose(name: string): void {
    this.#windows.value = name;
    const range = WINDOWS[name];
    this.#acts.window(range ? [...range] : null);
  }
}

function kindOf({ modality }: Volume): string {
  return modality === "unknown" ? "Scan" : modality;
}
