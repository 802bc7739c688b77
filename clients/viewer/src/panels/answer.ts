/** What came of the last click: who answered, how sure the gate was, what is doubtful, how long it took. */

import type { CandidateName, Expert, Measured, Segmentation, Volume } from "../api/types.ts";
import { h, setValue } from "../dom.ts";
import { candidateText, candidatesOf } from "../state/candidates.ts";
import type { Session, Timing } from "../state/session.ts";
import { millilitres } from "./structures.ts";

export interface AnswerActs {
  expert(name: string): void;
  candidate(name: CandidateName): void;
  keep(): void;
}

const MOST_BARS = 6;
const NAMES: Record<CandidateName, string> = {
  fused: "Answer",
  general: "General",
  expert: "Expert",
  rival: "Second",
};

export class AnswerPanel {
  readonly element: HTMLElement;
  readonly #acts: AnswerActs;
  readonly #expert = h("select", { id: "expert" });
  readonly #choice: HTMLElement;
  readonly #body = h("div", { class: "answer" });
  #experts: readonly Expert[] = [];
  #shown = "";

  constructor(acts: AnswerActs) {
    this.#acts = acts;
    this.#expert.onchange = () => acts.expert(this.#expert.value);
    this.#choice = h("div", { class: "row" }, h("label", { for: "expert" }, "Who answers"), this.#expert);
    this.element = h("section", { "aria-label": "Answer" }, h("h2", {}, "Answer"), this.#choice, this.#body);
  }

  set experts(experts: readonly Expert[]) {
    this.#experts = experts;
    this.#choice.hidden = experts.length === 0;
    this.#expert.replaceChildren(
      h("option", { value: "auto" }, "the mixture decides"),
      h("option", { value: "general" }, "general model"),
      ...experts.map(({ name, label, modalities }) =>
        h("option", { value: name }, `${label || name} (${modalities.join(", ")})`),
      ),
    );
  }

  update(session: Session, measured: Measured | null): void {
    setValue(this.#expert, session.expert);
    const { segmentation } = session;
    const timing = session.timing?.id === segmentation?.id ? session.timing : null;
    const { candidate } = session.active;
    const ml = session.millilitresOf(session.active) ?? 0;
    const state = JSON.stringify([segmentation?.id, candidate, timing, measured?.id, ml]);
    if (state === this.#shown) return;
    this.#shown = state;
    if (segmentation === null) {
      const hint = "Click on a structure in the scan. Shift + click takes something away.";
      this.#body.replaceChildren(h("p", { class: "hint" }, hint));
      return;
    }
    const parts = [
      h("p", { class: "who" }, this.#who(segmentation)),
      ...sizes(ml, candidate === "fused", measured?.id === segmentation.id ? measured : null),
      ...this.#candidates(segmentation, candidate),
      ...this.#scores(segmentation, session.volume.modality),
      ...doubts(segmentation),
      ...times(segmentation, timing),
    ];
    this.#body.replaceChildren(...parts);
  }

  #name(expert: string): string {
    if (expert === "general") return "the general model";
    return this.#experts.find(({ name }) => name === expert)?.label || expert;
  }

  #who({ route }: Segmentation): string {
    if (route.used === "general") {
      if (route.check === "rejected") return "The general model: the expert's mask did not fit the click.";
      return route.top === null ? "The general model." : "The general model: no expert was sure enough.";
    }
    return route.fused
      ? `${this.#name(route.used)}, mixed with the general model.`
      : `${this.#name(route.used)} alone.`;
  }

  #candidates(segmentation: Segmentation, shown: CandidateName): HTMLElement[] {
    const candidates = candidatesOf(segmentation);
    if (candidates.length < 2) return [];
    const buttons = candidates.map((name) =>
      h(
        "button",
        {
          title: candidateText(name, segmentation),
          "aria-pressed": String(name === shown),
          onclick: () => this.#acts.candidate(name),
        },
        NAMES[name],
      ),
    );
    const keep = h("button", { class: "primary", onclick: () => this.#acts.keep() }, "Make it the answer");
    return [
      h("div", { class: "candidates row", role: "group", "aria-label": "Candidates (Tab)" }, ...buttons),
      ...(shown === "fused" ? [] : [h("p", { class: "hint" }, "Shown and saved in place of the answer. ", keep)]),
    ];
  }

  #scores({ route }: Segmentation, modality: Volume["modality"]): HTMLElement[] {
    // The others can not answer.
    const fits = (name: string): boolean =>
      modality === "unknown" ||
      (this.#experts.find((expert) => expert.name === name)?.modalities.includes(modality) ?? true);
    const scores = Object.entries(route.scores)
      .filter(([name]) => fits(name))
      .sort((one, other) => other[1] - one[1]);
    if (scores.length === 0) return [];
    const rows = scores.slice(0, MOST_BARS).map(([name, score]) => {
      const bar = h("span", { class: "bar-fill" });
      bar.style.width = `${100 * score}%`;
      const track = h("span", { class: "bar-track" }, bar);
      if (route.tau !== null) {
        const tick = h("span", { class: "bar-tau" });
        tick.style.left = `${100 * route.tau}%`;
        track.append(tick);
      }
      const label = h("span", { class: "bar-name" }, this.#name(name));
      const value = h("span", { class: "bar-value" }, `${Math.round(100 * score)} %`);
      return h("li", { class: name === route.used ? "used" : "" }, label, track, value);
    });
    const needed = route.tau === null ? "" : `An expert answers from ${Math.round(100 * route.tau)} % on.`;
    return [
      h("h3", {}, "How sure each expert is"),
      h("ul", { class: "scores" }, ...rows),
      h("p", { class: "hint" }, needed),
    ];
  }
}

/** Of what shows: diameters are known of the answer alone. */
function sizes(ml: number, isAnswer: boolean, measured: Measured | null): HTMLElement[] {
  const diameters = measured?.diameters;
  const longest = diameters
    ? `${diameters.longest_mm.toFixed(1)} × ${diameters.perpendicular_mm.toFixed(1)} mm`
    : "…";
  return [
    h(
      "dl",
      { class: "sizes" },
      h("div", {}, h("dt", {}, "Volume"), h("dd", {}, millilitres(ml))),
      isAnswer && h("div", {}, h("dt", {}, "Axial diameters"), h("dd", {}, longest)),
    ),
  ];
}

function doubts({ warnings }: Segmentation): HTMLElement[] {
  if (warnings.length === 0) return [];
  return [h("ul", { class: "doubts", "aria-label": "Warnings" }, ...warnings.map(({ detail }) => h("li", {}, detail)))];
}

function times(segmentation: Segmentation, timing: Timing | null): HTMLElement[] {
  const phases = Object.entries(segmentation.timings_ms).filter(([, ms]) => ms >= 0.05);
  if (phases.length === 0) return [];
  const server = phases.reduce((sum, [, ms]) => sum + ms, 0);
  const whole =
    timing === null
      ? `${server.toFixed(0)} ms in the service`
      : `${timing.whole.toFixed(0)} ms, ${server.toFixed(0)} of them in the service, ${bytes(timing.bytes)}`;
  const rows = phases.map(([name, ms]) =>
    h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, `${ms.toFixed(1)} ms`)),
  );
  const table = h("table", {}, h("tbody", {}, ...rows));
  return [h("details", { class: "times" }, h("summary", {}, whole), table)];
}

function bytes(count: number): string {
  return count < 1024 ? `${count} bytes` : `${(count / 1024).toFixed(1)} kB`;
}
