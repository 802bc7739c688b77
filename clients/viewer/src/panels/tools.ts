/** The bar of tools beside the scan. */

import { h, icon } from "../dom.ts";
import { ICONS } from "../icons.ts";
import { candidatesOf } from "../state/candidates.ts";
import type { Session } from "../state/session.ts";
import type { Tool } from "../view/stage.ts";

export interface ToolActs {
  tool(tool: Tool): void;
  undo(): void;
  redo(): void;
  candidate(): void;
  fit(): void;
  help(): void;
}

const TOOLS: readonly { tool: Tool; title: string; key: string }[] = [
  { tool: "inside", title: "Click inside of the structure", key: "1" },
  { tool: "outside", title: "Click outside of it", key: "2" },
  { tool: "box", title: "Draw a box around it", key: "3" },
  { tool: "look", title: "Look, without clicking", key: "4" },
];

export class ToolBar {
  readonly element: HTMLElement;
  readonly #tools: Map<Tool, HTMLButtonElement>;
  readonly #undo: HTMLButtonElement;
  readonly #redo: HTMLButtonElement;
  readonly #candidate: HTMLButtonElement;

  constructor(acts: ToolActs) {
    this.#tools = new Map(
      TOOLS.map(({ tool, title, key }) => [
        tool,
        button(ICONS[tool], `${title} (${key})`, () => acts.tool(tool), tool, key),
      ]),
    );
    this.#undo = button(ICONS.undo, "Undo (Ctrl + Z)", () => acts.undo(), "", "Control+z");
    this.#redo = button(ICONS.redo, "Redo (Ctrl + Y)", () => acts.redo(), "", "Control+y");
    this.#candidate = button(ICONS.candidate, "Next candidate (Tab)", () => acts.candidate(), "", "c");
    this.element = h(
      "nav",
      { class: "tools", "aria-label": "Tools" },
      h("div", { role: "group", "aria-label": "What a click means" }, ...this.#tools.values()),
      h("div", { role: "group", "aria-label": "History" }, this.#undo, this.#redo, this.#candidate),
      h(
        "div",
        { class: "end" },
        button(ICONS.fit, "Whole picture, grey values as they were (0)", () => acts.fit(), "", "0"),
        button(ICONS.help, "Mouse and keyboard (?)", () => acts.help(), "", "?"),
      ),
    );
  }

  choose(chosen: Tool): void {
    for (const [tool, element] of this.#tools) {
      element.setAttribute("aria-pressed", String(tool === chosen));
    }
  }

  update(session: Session): void {
    this.#undo.disabled = !session.canUndo;
    this.#redo.disabled = session.active.future.length === 0;
    this.#candidate.disabled = candidatesOf(session.segmentation).length < 2;
  }
}

function button(
  path: string,
  title: string,
  act: () => void,
  kind: string,
  keys: string,
): HTMLButtonElement {
  const element = h("button", {
    class: `tool ${kind}`,
    title,
    "aria-label": title.replace(/ \(.*\)$/, ""),
    "aria-keyshortcuts": keys,
    onclick: act,
  });
  element.append(icon(path));
  return element;
}
