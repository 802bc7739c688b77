/** Which scan is shown: what the address names is fetched and put into the display, one by one. */

import { ANYTHING, type Address, type Found, readAddress, writeAddress } from "./address.ts";
import type { Client } from "./api/client.ts";
import { isCancelled } from "./api/errors.ts";
import type { Volume } from "./api/types.ts";
import type { Notices } from "./panels/notices.ts";
import { Session, type Watcher } from "./state/session.ts";

export interface ScanActs {
  /** Put a scan into the display. */
  load(nifti: ArrayBuffer, volume: Volume): Promise<void>;
  /** A share of a scan that is fetched, 0 to 1; null: none is. */
  loading(share: number | null): void;
  /** A session has its scan in the display. */
  opened(session: Session): void;
  /** What a session tells; of one that is not shown any more only what concerns everybody. */
  watcher(isShown: () => boolean): Watcher;
  /** The address names no scan. */
  offer(): void;
}

export class Scans {
  /** Of the scan that is shown. */
  session: Session | null = null;
  readonly #client: Client;
  readonly #notices: Notices;
  readonly #acts: ScanActs;
  /** What the addresses of scans said when they were left, so that they are found as they were. */
  readonly #left = new Map<string, Address>();
  #stop = new AbortController();
  /** Of the scan that came into the display last: that is not stopped half way. */
  #displayed: AbortController | null = null;
  /** What is being put into the display, and all that was before. */
  #displaying: Promise<unknown> = Promise.resolve();

  constructor(client: Client, notices: Notices, acts: ScanActs) {
    this.#client = client;
    this.#notices = notices;
    this.#acts = acts;
  }

  /** Show a scan, and have the address name it. */
  open(id: string): void {
    const address = this.#left.get(id) ?? { volume: id, ...ANYTHING };
    // Where there was no scan yet, going back leaves the page.
    const isFirst = readAddress(location.hash).volume === null;
    history[isFirst ? "replaceState" : "pushState"](null, "", writeAddress(address));
    void this.show(address);
  }

  /** Show what an address names. */
  async show(address: Address): Promise<void> {
    const { volume: id, ...wanted } = address;
    if (id === null) return this.#acts.offer();
    this.#stop.abort();
    const stop = new AbortController();
    this.#stop = stop;
    if (id === this.session?.volume.id) return this.#acts.loading(null);
    try {
      const volume = await this.#client.volume(id);
      const share = (part: number): void => this.#acts.loading(part);
      share(0);
      const nifti = await this.#client.voxels(id, share, stop.signal);
      if (stop.signal.aborted) return;
      await this.#load(volume, nifti, wanted, stop);
    } catch (error) {
      if (isCancelled(error) || stop.signal.aborted) return;
      this.#notices.fail(error, () => {
        // The address may name another by now.
        if (readAddress(location.hash).volume === id) void this.show(address);
      });
    } finally {
      if (this.#stop === stop) this.#acts.loading(null);
    }
  }

  /** Stop fetching. */
  cancel(): void {
    if (this.#stop !== this.#displayed) this.#stop.abort();
    this.#acts.loading(null);
  }

  /** Have the address say what its session does. */
  update(): void {
    if (this.session === null) return;
    const address = { volume: this.session.volume.id, ...this.session.found };
    this.#left.set(address.volume, address);
    const hash = writeAddress(address);
    // Said again, the browser draws its address bar anew, beside a click that is being answered.
    if (readAddress(location.hash).volume === address.volume && location.hash !== hash) {
      history.replaceState(null, "", hash);
    }
  }

  async #load(
    volume: Volume,
    nifti: ArrayBuffer,
    wanted: Found,
    stop: AbortController,
  ): Promise<void> {
    const { signal } = stop;
    const clicks = this.session?.cancel() ?? 0;
    if (clicks > 0) this.#notices.tell(dropped(clicks, " on the scan before"));
    // From here on the display is no longer of the scan before; scans come into it one by one.
    this.session = null;
    this.#displayed = stop;
    const displaying = this.#displaying.then(() => {
      signal.throwIfAborted();
      return this.#acts.load(nifti, volume);
    });
    this.#displaying = displaying.catch(() => null);
    await displaying;
    signal.throwIfAborted();
    const watcher = this.#acts.watcher(() => this.session === session);
    const session = new Session(this.#client, volume, wanted, watcher);
    this.session = session;
    this.#acts.opened(session);
    await this.#restore(session);
    if (!signal.aborted) this.#notices.say(`${document.title} is shown`);
  }

  /** Find what was kept; clicks wait for it, so a failure is tried again. */
  async #restore(session: Session): Promise<void> {
    if (this.session !== session) return;
    try {
      await session.restore();
    } catch (error) {
      this.#notices.fail(error, () => void this.#restore(session));
    }
  }
}

/** That clicks are gone, in words. */
export function dropped(count: number, where = ""): string {
  return count === 1 ? `1 click${where} was dropped.` : `${count} clicks${where} were dropped.`;
}
