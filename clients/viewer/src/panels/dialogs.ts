/** Small dialogs: the API key, the keys of the keyboard, the details of a structure. */

import { storeKey, storedKey } from "../api/key.ts";
import type { Code, Colour, Expert } from "../api/types.ts";
import { h } from "../dom.ts";
import { type Structure, cleanLabel } from "../state/structures.ts";

/** Ask for an API key until there is one. */
export function askKey(): Promise<void> {
  const wrong = storedKey() !== null;
  const input = h("input", { type: "password", id: "key", autocomplete: "off", required: true });
  const hint = wrong ? "That key is not known here." : "Whoever runs the service gives out keys.";
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", {}, "API key"),
    h("label", { for: "key" }, "This service asks for a key."),
    input,
    h("p", { class: wrong ? "doubt" : "hint" }, `${hint} It is kept until this tab is closed.`),
    h("div", { class: "row end" }, h("button", { class: "primary" }, "Go on")),
  );
  const dialog = show("API key", form);
  dialog.oncancel = (event) => event.preventDefault();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      dialog.remove();
      storeKey(input.value.trim() || null);
      resolve();
    };
  });
}

const HELP: readonly [string, string][] = [
  ["click, Enter", "inside of the structure"],
  ["Shift + click, right click, Shift + Enter", "outside of it"],
  ["drag", "move the cross hairs; with the box tool, draw a box"],
  ["1, 2, 3, 4", "tools: inside, outside, box, look"],
  ["Ctrl + Z, Ctrl + Y", "undo, redo"],
  ["Tab, in the scan", "next candidate; C does it everywhere"],
  ["K", "keep the candidate that is shown"],
  ["N", "next structure: a new one"],
  ["Esc", "cancel; once more: leave the scan"],
  ["arrows, Page Up, Page Down", "move the cross hairs; with Shift ten at a time"],
  ["wheel, Ctrl + wheel, + and −", "slices, zoom"],
  ["right drag, middle drag", "grey values, move the picture"],
  ["H", "hide and show the masks"],
  ["M", "enlarge the next view"],
  ["0", "the whole picture, grey values as they were"],
];

export function showHelp(): void {
  const rows = HELP.map(([keys, text]) => h("tr", {}, h("th", { scope: "row" }, keys), h("td", {}, text)));
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", {}, "Mouse and keyboard"),
    h("table", { class: "help" }, h("tbody", {}, ...rows)),
    h("div", { class: "row end" }, h("button", { class: "primary" }, "Close")),
  );
  const dialog = show("Mouse and keyboard", form);
  dialog.onclose = () => dialog.remove();
}

/** Change a structure's name, colour and code; `done` only if something was decided. */
export function editStructure(
  structure: Structure,
  experts: readonly Expert[],
  done: () => void,
): void {
  const known = experts.flatMap(({ codes }) => codes);
  const label = h("input", { id: "label", maxlength: 64, required: true, value: structure.label });
  const colour = h("input", { id: "colour", type: "color", value: toHex(structure.colour) });
  const value = h("input", {
    id: "code",
    maxlength: 16,
    pattern: "[A-Za-z0-9._\\-]+",
    value: structure.code?.value ?? "",
  });
  const meaning = h("input", {
    id: "meaning",
    maxlength: 64,
    pattern: "[^\\\\^~\\|]+",
    value: structure.code?.meaning ?? "",
  });
  const choose = h(
    "select",
    { id: "known" },
    h("option", { value: "" }, "none of these"),
    ...known.map((code, n) => h("option", { value: n }, `${code.meaning} (${code.value})`)),
  );
  choose.onchange = () => {
    const code = known[Number(choose.value)];
    if (choose.value === "" || !code) return;
    value.value = code.value;
    meaning.value = code.meaning;
  };
  const form = h(
    "form",
    { method: "dialog", class: "fields" },
    h("h2", {}, "Structure"),
    ...field("Name", label),
    ...field("Colour", colour),
    ...(known.length > 0 ? field("Known codes", choose) : []),
    ...field("SNOMED CT code", value),
    ...field("Meaning of the code", meaning),
    h("p", { class: "hint" }, "Without a code, the expert that drew it says what it is."),
    h(
      "div",
      { class: "row end" },
      h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
      h("button", { class: "primary", value: "save" }, "Save"),
    ),
  );
  const dialog = show("Structure", form);
  dialog.onclose = () => {
    dialog.remove();
    if (dialog.returnValue !== "save") return;
    structure.label = cleanLabel(label.value) || structure.label;
    structure.colour = fromHex(colour.value);
    structure.code = codeOf(value.value.trim(), meaning.value.trim(), structure.code);
    done();
  };
}

function codeOf(value: string, meaning: string, before: Code | null): Code | null {
  if (value === "" || meaning === "") return null;
  const same = before?.value === value && before.meaning === meaning;
  return same ? before : { scheme: "SCT", value, meaning };
}

function field(name: string, input: HTMLElement): HTMLElement[] {
  return [h("label", { for: input.id }, name), input];
}

function show(name: string, form: HTMLFormElement): HTMLDialogElement {
  const dialog = h("dialog", { "aria-label": name }, form);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

function toHex(colour: Colour): string {
  return `#${colour.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

function fromHex(text: string): Colour {
  return [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16)) as Colour;
}
