/** The service's REST API, as far as the page needs it. */

import { Away, Refused, isCancelled } from "./errors.ts";
import { readEvents } from "./events.ts";
import { storedKey } from "./key.ts";
import { once } from "./once.ts";
import type {
  Ask,
  CandidateName,
  Capabilities,
  Entry,
  FoundSeries,
  Measured,
  Merge,
  PacsSeries,
  Page,
  Point,
  Result,
  Segmentation,
  SeriesQuery,
  Volume,
} from "./types.ts";

const NIFTI = "application/x-nifti+gzip";
const NRRD = "application/x-nrrd";
const DICOM = "application/dicom";
const PLAIN_NIFTI = "application/x-nifti";
const PACKED = "application/vnd.sammoe.mask";
const EVENTS = "text/event-stream";
const JSON_TYPE = "application/json";

export interface Answer {
  segmentation: Segmentation;
  /** The packed mask. */
  mask: Uint8Array;
  /** Bytes of the whole answer. */
  bytes: number;
}

/** A mask that still grows. */
export interface Growing {
  windows: number;
  encodes: number;
  mask: Uint8Array;
}

export type Share = (fraction: number) => void;

export class Client {
  readonly #base: URL;

  /** `base`: the folder under which `/v1` lies. */
  constructor(base: URL) {
    this.#base = base;
  }

  async isAlive(): Promise<boolean> {
    try {
      return (await fetch(this.url("livez"), { cache: "no-store" })).ok;
    } catch {
      return false;
    }
  }

  capabilities(): Promise<Capabilities> {
    return this.#json("v1/capabilities");
  }

  volumes(cursor: string | null = null): Promise<Page<Volume>> {
    return this.#json(`v1/volumes?limit=50${cursor === null ? "" : `&cursor=${cursor}`}`);
  }

  volume(id: string): Promise<Volume> {
    return this.#json(`v1/volumes/${id}`);
  }

  async deleteVolume(id: string): Promise<void> {
    await this.#ask(`v1/volumes/${id}`, { method: "DELETE" });
  }

  /** The scan as a NIfTI file; `share` hears how much of it has come. */
  async voxels(id: string, share: Share, signal: AbortSignal): Promise<ArrayBuffer> {
    const answer = await this.#ask(`v1/volumes/${id}/voxels`, { signal }, PLAIN_NIFTI);
    const total = Number(answer.headers.get("Content-Length"));
    if (!answer.body || !total) return answer.arrayBuffer();
    const whole = new Uint8Array(total);
    let at = 0;
    const reader = answer.body.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        whole.set(value, at);
        at += value.length;
        share(at / total);
      }
    } catch (error) {
      throw isCancelled(error) ? error : new Away();
    }
    if (at < total) throw new Away();
    return whole.buffer;
  }

  /**
   * Send a scan: one file, or the files of a DICOM series; sent again under the same key, it is added
   * once. By XMLHttpRequest, which tells how far it is.
   */
  add(files: readonly Blob[], key: string, share: Share, signal: AbortSignal): Promise<Volume> {
    const request = new XMLHttpRequest();
    request.open("POST", this.url("v1/volumes"));
    for (const [name, value] of Object.entries({ ...this.#headers(JSON_TYPE), ...once(key) })) {
      request.setRequestHeader(name, value);
    }
    return new Promise((resolve, reject) => {
      const stop = (): void => request.abort();
      signal.addEventListener("abort", stop, { once: true });
      request.upload.onprogress = (event) => {
        if (event.lengthComputable) share(event.loaded / event.total);
      };
      request.onload = () => {
        if (request.status < 400) resolve(JSON.parse(request.responseText) as Volume);
        else reject(Refused.of(request.status, request.responseText));
      };
      request.onerror = () => reject(new Away());
      request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
      request.onloadend = () => signal.removeEventListener("abort", stop);
      if (signal.aborted) stop();
      else if (files.length === 1) {
        request.setRequestHeader("Content-Type", "application/octet-stream");
        request.send(files[0]);
      } else {
        const form = new FormData();
        for (const [number, file] of files.entries()) form.append("file", file, String(number));
        request.send(form);
      }
    });
  }

  /** Have the service read a series from the PACS; under the same key, once. */
  pull(series: PacsSeries, key: string, signal: AbortSignal): Promise<Volume> {
    return this.#json("v1/volumes", { ...body({ dicomweb: series }, key), signal });
  }

  /** Have the region around a place prepared. */
  async warm(volume: string, point: Point | null): Promise<void> {
    const asked = point === null ? {} : { space: "voxel", points: [point] };
    await this.#ask(`v1/volumes/${volume}/embeddings`, body(asked));
  }

  /** Click. `grown` hears of masks on the way; aborting stops the work and keeps nothing. */
  async segment(
    volume: string,
    ask: Ask,
    grown: (growing: Growing) => void,
    signal: AbortSignal,
  ): Promise<Answer> {
    const asked = { space: "voxel", ...ask };
    const init = { ...body(asked), signal };
    const answer = await this.#ask(`v1/volumes/${volume}/segmentations`, init, EVENTS);
    let bytes = 0;
    try {
      if (!answer.body) throw new Away();
      for await (const event of readEvents(answer.body)) {
        bytes += event.data.length;
        const data = JSON.parse(event.data);
        if (event.name === "problem") throw new Refused(data.status, data);
        if (event.name === "progress") grown({ ...data, mask: decoded(data.mask) });
        if (event.name === "segmentation") {
          return { segmentation: data.segmentation, mask: decoded(data.mask), bytes };
        }
      }
    } catch (error) {
      // What breaks off says so in as many ways as there are browsers.
      if (error instanceof Refused || isCancelled(error)) throw error;
      throw new Away();
    }
    throw new Away();
  }

  async segmentations(volume: string): Promise<Segmentation[]> {
    const found: Segmentation[] = [];
    let cursor: string | null = null;
    do {
      const more: string = cursor === null ? "" : `&cursor=${cursor}`;
      const page: Page<Segmentation> = await this.#json(
        `v1/volumes/${volume}/segmentations?limit=200${more}`,
      );
      found.push(...page.items);
      cursor = page.next;
    } while (cursor !== null);
    return found;
  }

  measured(segmentation: string): Promise<Measured> {
    return this.#json(`v1/segmentations/${segmentation}`);
  }

  async mask(segmentation: string, candidate: CandidateName = "fused"): Promise<Uint8Array> {
    const path = `v1/segmentations/${segmentation}/mask?candidate=${candidate}`;
    return new Uint8Array(await (await this.#ask(path, {}, PACKED)).arrayBuffer());
  }

  async newestResult(volume: string): Promise<Result | null> {
    const page: Page<Result> = await this.#json(`v1/volumes/${volume}/results?limit=1`);
    return page.items[0] ?? null;
  }

  result(id: string): Promise<Result> {
    return this.#json(`v1/results/${id}`);
  }

  /** Keep a result; sent again under the same key, it is made once. */
  addResult(volume: string, entries: Entry[], merge: Merge, key: string): Promise<Result> {
    return this.#json(`v1/volumes/${volume}/results`, body({ entries, merge }, key));
  }

  replaceResult(id: string, entries: Entry[], merge: Merge): Promise<Result> {
    return this.#json(`v1/results/${id}`, { ...body({ entries, merge }), method: "PUT" });
  }

  async deleteResult(id: string): Promise<void> {
    await this.#ask(`v1/results/${id}`, { method: "DELETE" });
  }

  async resultFile(id: string, form: "nifti" | "nrrd" | "seg" | "rtstruct"): Promise<Blob> {
    const [path, accept] = {
      nifti: ["mask", NIFTI],
      nrrd: ["mask", NRRD],
      seg: ["seg", DICOM],
      rtstruct: ["rtstruct", DICOM],
    }[form] as [string, string];
    return (await this.#ask(`v1/results/${id}/${path}`, {}, accept)).blob();
  }

  async storeResult(id: string, server: string): Promise<void> {
    await this.#ask(`v1/results/${id}/store`, body({ forms: ["seg"], server }));
  }

  /** The series of a PACS, whichever it is; nothing that is found has a name. */
  async findSeries(query: SeriesQuery, signal: AbortSignal): Promise<FoundSeries[]> {
    const page: Page<FoundSeries> = await this.#json("v1/dicomweb/search", { ...body(query), signal });
    return page.items;
  }

  /** A search on the first PACS, as DICOM JSON. */
  async search(path: string, signal: AbortSignal): Promise<unknown[]> {
    const answer = await this.#ask(`dicom-web/${path}`, { signal }, "application/dicom+json");
    return answer.status === 204 ? [] : ((await answer.json()) as unknown[]);
  }

  url(path: string): URL {
    return new URL(path, this.#base);
  }

  async #json<T>(path: string, init: RequestInit = {}): Promise<T> {
    const answer = await this.#ask(path, init);
    try {
      return (await answer.json()) as T;
    } catch (error) {
      // It broke off.
      throw isCancelled(error) ? error : new Away();
    }
  }

  async #ask(path: string, init: RequestInit, accept = JSON_TYPE): Promise<Response> {
    const headers = { ...this.#headers(accept), ...(init.headers as Record<string, string>) };
    let answer: Response;
    try {
      answer = await fetch(this.url(path), { cache: "no-store", ...init, headers });
    } catch (error) {
      throw isCancelled(error) ? error : new Away();
    }
    if (!answer.ok) throw await Refused.from(answer);
    return answer;
  }

  #headers(accept: string): Record<string, string> {
    const key = storedKey();
    return key === null ? { Accept: accept } : { Accept: accept, Authorization: `Bearer ${key}` };
  }
}

/** To be sent; with a key, what it makes is made once. */
function body(value: unknown, key?: string): { method: string; body: string; headers: Record<string, string> } {
  const headers = { "Content-Type": JSON_TYPE, ...(key === undefined ? {} : once(key)) };
  return { method: "POST", body: JSON.stringify(value), headers };
}

function decoded(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
