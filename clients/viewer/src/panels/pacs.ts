/** Studies of the connected PACS: looked for by day and modality, through the service. */

import type { Client } from "../api/client.ts";
import { isCancelled } from "../api/errors.ts";
import { h } from "../dom.ts";
import type { Notices } from "./notices.ts";

/** A data set of DICOM JSON. */
type DataSet = Record<string, { Value?: unknown[] }>;

const LIMIT = 100;
const READ = ["CT", "MR"];

export class PacsPanel {
  readonly element: HTMLElement;
  readonly #client: Client;
  readonly #notices: Notices;
  readonly #chosen: (study: string, series: string) => void;
  readonly #day = h("input", { type: "date", id: "pacs-day" });
  readonly #modality = h(
    "select",
    { id: "pacs-modality" },
    h("option", { value: "" }, "CT and MR"),
    ...READ.map((name) => h("option", {}, name)),
  );
  readonly #text = h("input", { type: "search", id: "pacs-text" });
  readonly #list = h("ul", { class: "studies" });
  #studies: DataSet[] = [];
  #stop = new AbortController();

  constructor(client: Client, notices: Notices, chosen: (study: string, series: string) => void) {
    this.#client = client;
    this.#notices = notices;
    this.#chosen = chosen;
    this.#text.oninput = () => this.#show();
    const form = h(
      "form",
      { class: "row search" },
      h("label", { for: "pacs-day" }, "Since"),
      this.#day,
      h("label", { for: "pacs-modality" }, "Modality"),
      this.#modality,
      h("button", { class: "primary" }, "Look"),
      // What is typed here stays here: it may be a name.
      h("label", { for: "pacs-text" }, "Among these"),
      this.#text,
    );
    form.onsubmit = (event) => {
      event.preventDefault();
      void this.#look();
    };
    this.element = h("section", { class: "pacs" }, h("h3", {}, "From the PACS"), form, this.#list);
  }

  async #look(): Promise<void> {
    this.#stop.abort();
    this.#stop = new AbortController();
    const query = new URLSearchParams({ limit: String(LIMIT), includefield: "StudyDescription" });
    if (this.#day.value) query.set("StudyDate", `${this.#day.value.replaceAll("-", "")}-`);
    if (this.#modality.value) query.set("ModalitiesInStudy", this.#modality.value);
    this.#list.replaceChildren(h("li", { class: "hint" }, "Looking …"));
    try {
      const found = (await this.#client.search(`studies?${query}`, this.#stop.signal)) as DataSet[];
      const day = (study: DataSet): string => text(study, "00080020");
      this.#studies = found.sort((one, other) => day(other).localeCompare(day(one)));
      this.#show();
    } catch (error) {
      if (isCancelled(error)) return;
      this.#list.replaceChildren();
      this.#notices.fail(error, () => void this.#look());
    }
  }

  #show(): void {
    const wanted = this.#text.value.toLowerCase();
    const studies = this.#studies.filter((study) => title(study).toLowerCase().includes(wanted));
    const rows = studies.map((study) => this.#study(study));
    const none = h("li", { class: "hint" }, "No study was found.");
    this.#list.replaceChildren(...(rows.length > 0 ? rows : [none]));
    this.#notices.say(`${rows.length} studies`);
  }

  #study(study: DataSet): HTMLElement {
    const uid = text(study, "0020000D");
    const series = h("ul", {});
    const details = h("details", {}, h("summary", {}, title(study)), series);
    details.ontoggle = () => {
      if (details.open && series.children.length === 0) void this.#series(uid, series);
    };
    return h("li", {}, details);
  }

  async #series(study: string, list: HTMLElement): Promise<void> {
    const fields = "includefield=SeriesDescription&includefield=NumberOfSeriesRelatedInstances";
    try {
      const found = (await this.#client.search(
        `studies/${study}/series?${fields}`,
        this.#stop.signal,
      )) as DataSet[];
      const rows = found.map((series) => this.#row(study, series));
      list.replaceChildren(...(rows.length > 0 ? rows : [h("li", { class: "hint" }, "No series.")]));
    } catch (error) {
      if (!isCancelled(error)) this.#notices.fail(error, () => void this.#series(study, list));
    }
  }

  #row(study: string, series: DataSet): HTMLElement {
    const modality = text(series, "00080060");
    const images = text(series, "00201209");
    const name = text(series, "0008103E") || "no description";
    const button = h(
      "button",
      { type: "button", class: "volume" },
      h("strong", {}, modality || "?"),
      h("span", {}, name),
      h("span", {}, images ? `${images} ${images === "1" ? "image" : "images"}` : ""),
    );
    button.disabled = !READ.includes(modality);
    button.onclick = () => this.#chosen(study, text(series, "0020000E"));
    return h("li", {}, button);
  }
}

function title(study: DataSet): string {
  const day = text(study, "00080020").replace(/(....)(..)(..)/, "$1-$2-$3");
  const parts = [day, text(study, "00100010"), text(study, "00100020"), text(study, "00081030")];
  return parts.filter((part) => part !== "").join(", ") || text(study, "0020000D");
}

function text(data: DataSet, tag: string): string {
  const value = data[tag]?.Value?.[0];
  if (typeof value === "object" && value !== null && "Alphabetic" in value) {
    return String(value.Alphabetic).replaceAll("^", " ").trim();
  }
  return value === undefined || value === null ? "" : String(value);
}
