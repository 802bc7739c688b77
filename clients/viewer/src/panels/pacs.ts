/** Studies of a PACS that the service knows: looked for by day and modality, through the service. */

import type { Client } from "../api/client.ts";
import { isCancelled } from "../api/errors.ts";
import type { FoundSeries, PacsSeries } from "../api/types.ts";
import { h } from "../dom.ts";
import type { Notices } from "./notices.ts";

/** A data set of DICOM JSON. */
type DataSet = Record<string, { Value?: unknown[] }>;

interface Study {
  data: DataSet;
  /** Null: they are asked for when it is opened. */
  series: DataSet[] | null;
}

const LIMIT = 100;
const READ = ["CT", "MR"];

export class PacsPanel {
  readonly element: HTMLElement;
  readonly #client: Client;
  readonly #notices: Notices;
  readonly #chosen: (series: PacsSeries) => void;
  readonly #server = h("select", { id: "pacs-server" });
  readonly #day = h("input", { type: "date", id: "pacs-day" });
  readonly #modality = h(
    "select",
    { id: "pacs-modality" },
    h("option", { value: "" }, "CT and MR"),
    ...READ.map((name) => h("option", {}, name)),
  );
  readonly #text = h("input", { type: "search", id: "pacs-text" });
  readonly #list = h("ul", { class: "studies" });
  /** The service lets a page see names of the first PACS; the others are listed without. */
  readonly #nameless = h("p", { class: "hint", hidden: true }, "This PACS is listed without names.");
  #studies: Study[] = [];
  #stop = new AbortController();

  constructor(client: Client, notices: Notices, chosen: (series: PacsSeries) => void) {
    this.#client = client;
    this.#notices = notices;
    this.#chosen = chosen;
    this.#text.oninput = () => this.#show();
    const form = h(
      "form",
      { class: "row search" },
      h("label", { for: "pacs-server" }, "PACS"),
      this.#server,
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
    this.#server.onchange = () => {
      this.#stop.abort();
      this.#studies = [];
      this.#list.replaceChildren();
      this.#nameless.hidden = this.#server.selectedIndex === 0;
    };
    this.element = h(
      "section",
      { class: "pacs" },
      h("h3", {}, "From the PACS"),
      form,
      this.#nameless,
      this.#list,
    );
  }

  /** The PACS that the service knows. */
  set servers(names: readonly string[]) {
    this.element.hidden = names.length === 0;
    if (this.#server.options.length !== names.length) {
      this.#server.replaceChildren(...names.map((name) => h("option", {}, name)));
    }
    for (const element of [this.#server, ...(this.#server.labels ?? [])]) element.hidden = names.length < 2;
  }

  async #look(): Promise<void> {
    this.#stop.abort();
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#list.replaceChildren(h("li", { class: "hint" }, "Looking …"));
    try {
      const isFirst = this.#server.selectedIndex === 0;
      const found = await (isFirst ? this.#named(signal) : this.#unnamed(signal));
      const day = ({ data }: Study): string => text(data, "00080020");
      this.#studies = found.sort((one, other) => day(other).localeCompare(day(one)));
      this.#show();
    } catch (error) {
      if (isCancelled(error)) return;
      this.#list.replaceChildren();
      this.#notices.fail(error, () => void this.#look());
    }
  }

  /** Of the first PACS, which a page may ask itself. */
  async #named(signal: AbortSignal): Promise<Study[]> {
    const query = new URLSearchParams({ limit: String(LIMIT), includefield: "StudyDescription" });
    if (this.#day.value) query.set("StudyDate", `${this.#day.value.replaceAll("-", "")}-`);
    if (this.#modality.value) query.set("ModalitiesInStudy", this.#modality.value);
    const found = (await this.#client.search(`studies?${query}`, signal)) as DataSet[];
    return found.map((data) => ({ data, series: null }));
  }

  /** Of any other, which the service asks. */
  async #unnamed(signal: AbortSignal): Promise<Study[]> {
    const query = {
      server: this.#server.value,
      limit: LIMIT,
      ...(this.#modality.value && { modality: this.#modality.value }),
      ...(this.#day.value && { since: this.#day.value }),
    };
    return studiesOf(await this.#client.findSeries(query, signal));
  }

  #show(): void {
    const wanted = this.#text.value.toLowerCase();
    const studies = this.#studies.filter(({ data }) => title(data).toLowerCase().includes(wanted));
    const rows = studies.map((study) => this.#study(study));
    const none = h("li", { class: "hint" }, "No study was found.");
    this.#list.replaceChildren(...(rows.length > 0 ? rows : [none]));
    this.#notices.say(`${rows.length} studies`);
  }

  #study({ data, series: known }: Study): HTMLElement {
    const uid = text(data, "0020000D");
    const series = h("ul", {}, ...(known ?? []).map((one) => this.#row(uid, one)));
    const details = h("details", {}, h("summary", {}, title(data)), series);
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
    const server = this.#server.value;
    button.onclick = () => this.#chosen({ server, study, series: text(series, "0020000E") });
    return h("li", {}, button);
  }
}

function title(study: DataSet): string {
  const day = text(study, "00080020").replace(/(....)(..)(..)/, "$1-$2-$3");
  const parts = ["00100010", "00100020", "00081030"].map((tag) => text(study, tag));
  const named = parts.filter((part) => part !== "");
  return [day, ...(named.length > 0 ? named : [text(study, "0020000D")])].filter(Boolean).join(", ");
}

/** What the service found, in its studies and as a PACS says it. */
export function studiesOf(found: readonly FoundSeries[]): Study[] {
  const studies = new Map<string, FoundSeries[]>();
  for (const one of found) studies.set(one.study, [...(studies.get(one.study) ?? []), one]);
  return [...studies].map(([study, all]) => ({
    data: dataSet({ "0020000D": study, "00080020": all[0].study_date?.replaceAll("-", "") }),
    series: all.map(({ series, modality, instances }) =>
      dataSet({ "0020000E": series, "00080060": modality, "00201209": instances }),
    ),
  }));
}

function dataSet(values: Record<string, unknown>): DataSet {
  const said = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(said.map(([tag, value]) => [tag, { Value: [value] }]));
}

function text(data: DataSet, tag: string): string {
  const value = data[tag]?.Value?.[0];
  if (typeof value === "object" && value !== null && "Alphabetic" in value) {
    return String(value.Alphabetic).replaceAll("^", " ").trim();
  }
  return value === undefined || value === null ? "" : String(value);
}
