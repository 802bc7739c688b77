/** Where a scan comes from: files, the PACS, those that are here, and the sample. */

import type { Client } from "../api/client.ts";
import { isCancelled } from "../api/errors.ts";
import { newKey } from "../api/once.ts";
import type { PacsSeries, Volume } from "../api/types.ts";
import { h } from "../dom.ts";
import { chooseScan, droppedFiles } from "../files.ts";
import type { Notices } from "./notices.ts";
import { PacsPanel } from "./pacs.ts";

export class OpenDialog {
  readonly #client: Client;
  readonly #notices: Notices;
  readonly #opened: (volume: Volume, name: string | null) => void;
  readonly #dialog: HTMLDialogElement;
  readonly #list = h("ul", { class: "volumes" });
  readonly #more = h("button", { type: "button", class: "more", hidden: true }, "Show older ones");
  readonly #progress: Progress;
  readonly #pacs: PacsPanel;
  readonly #names = new Map<string, string>();
  readonly #servers = new Map<string, string>();
  #stop: AbortController | null = null;

  constructor(client: Client, notices: Notices, opened: (volume: Volume, name: string | null) => void) {
    this.#client = client;
    this.#notices = notices;
    this.#opened = opened;
    this.#progress = new Progress(() => this.#stop?.abort());
    this.#pacs = new PacsPanel(client, notices, (series) => void this.#pull(series));
    const files = h("input", { type: "file", class: "file", id: "files", multiple: true });
    const folder = h("input", { type: "file", class: "file", id: "folder", webkitdirectory: true });
    for (const input of [files, folder]) {
      input.onchange = () => {
        void this.add([...(input.files ?? [])]);
        input.value = "";
      };
    }
    const close = h("button", { class: "close", "aria-label": "Close", type: "button" }, "×");
    close.onclick = () => this.#dialog.close();
    const sample = h("button", { type: "button" }, "Open the sample scan");
    sample.onclick = () => void this.sample();
    this.#dialog = h(
      "dialog",
      { class: "open", "aria-label": "Open a scan" },
      h("header", { class: "row" }, h("h2", {}, "Open a scan"), close),
      h(
        "div",
        { class: "drop" },
        h("p", {}, "Drop a scan here: NIfTI, NRRD, a zip, or a folder of DICOM files"),
        h(
          "div",
          { class: "row" },
          h("label", { for: "files", class: "button primary" }, "Choose a file"),
          files,
          h("label", { for: "folder", class: "button" }, "Choose a folder"),
          folder,
          sample,
        ),
      ),
      this.#progress.element,
      this.#pacs.element,
      h("h3", {}, "Scans that are here"),
      this.#list,
      this.#more,
    );
    document.body.append(this.#dialog);
    listenForDrops((transfer) => void this.#drop(transfer));
  }

  /** Show it, with what is there now. */
  async show(servers: readonly string[]): Promise<void> {
    this.#pacs.servers = servers;
    if (!this.#dialog.open) this.#dialog.showModal();
    await this.#page(null);
  }

  nameOf(volume: string): string | null {
    return this.#names.get(volume) ?? null;
  }

  async #drop(transfer: DataTransfer): Promise<void> {
    try {
      await this.add(await droppedFiles(transfer));
    } catch (error) {
      this.#notices.fail(error, null);
    }
  }

  /** The PACS that a scan was read from, if that was done here. */
  serverOf(volume: string): string | null {
    return this.#servers.get(volume) ?? null;
  }

  async #pull(series: PacsSeries): Promise<void> {
    const key = newKey();
    const get = async (signal: AbortSignal): Promise<Volume> => {
      const volume = await this.#client.pull(series, key, signal);
      this.#servers.set(volume.id, series.server);
      return volume;
    };
    await this.#bring("The service reads the series", get, null);
  }

  /** Send files, and open what they become. */
  async add(files: readonly File[]): Promise<void> {
    if (files.length === 0) return;
    if (!this.#dialog.open) this.#dialog.showModal();
    try {
      const scan = await chooseScan(files);
      const name = scan.length === 1 ? scan[0].name : (scan[0].webkitRelativePath.split("/")[0] ?? "");
      const key = newKey();
      await this.#bring("Sending", (signal) => this.#send(scan, key, signal), name || null);
    } catch (error) {
      this.#notices.fail(error, null);
    }
  }

  /** Open the scan that the page brings along. */
  async sample(): Promise<void> {
    const key = newKey();
    await this.#bring(
      "Loading the sample",
      async (signal) => {
        const answer = await fetch(new URL("sample.nii.gz", document.baseURI), { signal });
        return this.#send([await answer.blob()], key, signal);
      },
      "Sample: MNI152 average of brains, T1",
    );
  }

  #send(files: readonly Blob[], key: string, signal: AbortSignal): Promise<Volume> {
    const share = (fraction: number): void => {
      this.#progress.set(fraction);
      if (fraction === 1) this.#progress.name("The service reads the scan");
    };
    return this.#client.add(files, key, share, signal);
  }

  async #bring(
    what: string,
    get: (signal: AbortSignal) => Promise<Volume>,
    name: string | null,
  ): Promise<void> {
    this.#stop?.abort();
    const stop = new AbortController();
    this.#stop = stop;
    this.#notices.forget();
    this.#progress.begin(what);
    try {
      const volume = await get(stop.signal);
      if (name !== null) this.#names.set(volume.id, name);
      this.#dialog.close();
      this.#opened(volume, name);
    } catch (error) {
      if (isCancelled(error)) this.#notices.say("Cancelled");
      else this.#notices.fail(error, () => void this.#bring(what, get, name));
    } finally {
      if (this.#stop === stop) {
        this.#stop = null;
        this.#progress.end();
      }
    }
  }

  async #page(cursor: string | null): Promise<void> {
    try {
      const { items, next } = await this.#client.volumes(cursor);
      if (cursor === null) this.#list.replaceChildren();
      this.#list.append(...items.map((volume) => this.#row(volume)));
      if (cursor === null && items.length === 0) {
        this.#list.append(h("li", { class: "hint" }, "None yet."));
      }
      this.#more.hidden = next === null;
      this.#more.onclick = () => void this.#page(next);
    } catch (error) {
      this.#notices.fail(error, () => void this.#page(cursor));
    }
  }

  #row(volume: Volume): HTMLElement {
    const name = this.nameOf(volume.id);
    const open = h(
      "button",
      { type: "button", class: "volume" },
      h("strong", {}, name ?? `${volume.modality === "unknown" ? "Scan" : volume.modality}`),
      h("span", {}, describe(volume)),
      h("time", { datetime: volume.created }, new Date(volume.created).toLocaleString()),
    );
    open.onclick = () => {
      this.#dialog.close();
      this.#opened(volume, name);
    };
    const remove = h("button", { type: "button", class: "quiet" }, "Delete");
    remove.setAttribute("aria-label", `Delete the scan of ${new Date(volume.created).toLocaleString()}`);
    const row = h("li", {}, open, remove);
    remove.onclick = () => {
      if (remove.textContent === "Delete") {
        remove.textContent = "Delete with all masks?";
        return;
      }
      this.#client.deleteVolume(volume.id).then(
        () => row.remove(),
        (error: unknown) => this.#notices.fail(error, null),
      );
    };
    remove.onblur = () => {
      remove.textContent = "Delete";
    };
    return row;
  }
}

/** A volume in a few words. */
export function describe(volume: Volume): string {
  const spacing = volume.spacing.map((mm) => Number(mm.toFixed(2)));
  const even = spacing.every((mm) => mm === spacing[0]);
  return `${volume.shape.join(" × ")} voxels, ${even ? spacing[0] : spacing.join(" × ")} mm`;
}

/** A bar with a name, and a way to cancel. */
class Progress {
  readonly element: HTMLElement;
  readonly #name = h("span", { id: "progress-name" });
  readonly #bar = h("progress", { max: 1, "aria-labelledby": "progress-name" });

  constructor(cancel: () => void) {
    const button = h("button", { type: "button", onclick: cancel }, "Cancel");
    this.element = h("div", { class: "progress row", hidden: true }, this.#name, this.#bar, button);
  }

  begin(name: string): void {
    this.name(name);
    this.element.hidden = false;
  }

  name(name: string): void {
    this.#name.textContent = name;
    this.#bar.removeAttribute("value");
  }

  set(fraction: number): void {
    this.#bar.value = fraction;
  }

  end(): void {
    this.element.hidden = true;
  }
}

/** The whole page takes files. */
function listenForDrops(drop: (transfer: DataTransfer) => void): void {
  const over = (event: DragEvent): void => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.toggle("dropping", event.type === "dragover");
    if (event.type === "drop") drop(event.dataTransfer);
  };
  for (const name of ["dragover", "dragleave", "drop"] as const) addEventListener(name, over);
}
