/** The result as files, and into the PACS. */

import type { Client } from "../api/client.ts";
import type { Merge } from "../api/types.ts";
import { h, icon, setText, setValue } from "../dom.ts";
import { save } from "../files.ts";
import { ICONS } from "../icons.ts";
import type { Session } from "../state/session.ts";
import type { Notices } from "./notices.ts";

type Form = "nifti" | "nrrd" | "seg" | "rtstruct";

const FORMS: readonly { form: Form; title: string; name: string; dicom: boolean }[] = [
  { form: "nifti", title: "NIfTI", name: "result.nii.gz", dicom: false },
  { form: "nrrd", title: "NRRD", name: "result.seg.nrrd", dicom: false },
  { form: "seg", title: "DICOM SEG", name: "seg.dcm", dicom: true },
  { form: "rtstruct", title: "RTSTRUCT", name: "rtstruct.dcm", dicom: true },
];

export class FilesPanel {
  readonly element: HTMLElement;
  readonly #client: Client;
  readonly #notices: Notices;
  readonly #buttons: HTMLButtonElement[];
  readonly #store = h("button", {});
  readonly #server = h("select", { "aria-label": "PACS that gets the SEG" });
  readonly #merge = h(
    "select",
    { id: "merge" },
    h("option", { value: "overlap" }, "all of them have it"),
    h("option", { value: "keep_existing" }, "the upper one has it"),
    h("option", { value: "overwrite" }, "the lower one has it"),
  );
  readonly #why = h("p", { class: "hint" });
  #session: Session | null = null;

  constructor(client: Client, notices: Notices) {
    this.#client = client;
    this.#notices = notices;
    this.#buttons = FORMS.map(({ form, title, name }) => {
      const button = h("button", { onclick: () => void this.#download(form, name) });
      button.append(icon(ICONS.download), title);
      return button;
    });
    this.#store.append(icon(ICONS.send), "Store SEG in the PACS");
    this.#store.onclick = () => void this.#send();
    this.#merge.onchange = () => {
      if (this.#session === null) return;
      this.#session.merge = this.#merge.value as Merge;
      this.#session.edited();
    };
    this.element = h(
      "section",
      { "aria-label": "Files" },
      h("h2", {}, "Files"),
      h("div", { class: "downloads" }, ...this.#buttons, this.#store, this.#server),
      this.#why,
      h("div", { class: "row" }, h("label", { for: "merge" }, "Where structures overlap"), this.#merge),
    );
  }

  /** The PACS that the service knows. */
  set servers(names: readonly string[]) {
    this.#server.replaceChildren(...names.map((name) => h("option", {}, name)));
    this.#store.hidden = names.length === 0;
    this.#server.hidden = names.length < 2;
  }

  /** `server`: the PACS that the scan came from, if that is known. */
  update(session: Session, server: string | null): void {
    if (session !== this.#session) {
      if (server === null) this.#server.selectedIndex = 0;
      else this.#server.value = server;
    }
    this.#session = session;
    const filled = session.structures.filter(({ head }) => head !== null).length;
    const dicom = session.volume.source !== null;
    for (const [n, { dicom: needed }] of FORMS.entries()) {
      this.#buttons[n].disabled = filled === 0 || (needed && !dicom);
    }
    this.#store.disabled = this.#server.disabled = filled === 0 || !dicom;
    this.#why.hidden = dicom;
    setText(this.#why, "DICOM files need a scan that came as DICOM.");
    (this.#merge.parentElement as HTMLElement).hidden = filled < 2;
    setValue(this.#merge, session.merge);
  }

  async #download(form: Form, name: string): Promise<void> {
    await this.#with(async (result) => {
      save(await this.#client.resultFile(result, form), name);
      this.#notices.say(`${name} was saved`);
    });
  }

  async #send(): Promise<void> {
    await this.#with(async (result) => {
      const server = this.#server.value;
      await this.#client.storeResult(result, server);
      const where = this.#server.hidden ? "the PACS" : server;
      this.#notices.tell(`The SEG is in ${where}.`);
    });
  }

  async #with(act: (result: string) => Promise<void>): Promise<void> {
    try {
      const result = await this.#session?.keptResult();
      if (result) await act(result.id);
    } catch (error) {
      this.#notices.fail(error, () => void this.#with(act));
    }
  }
}
