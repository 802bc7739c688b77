/** The result of a volume: written after every change, one write after the other, none of them twice. */

import type { Client } from "../api/client.ts";
import { Refused, isPassing } from "../api/errors.ts";
import { newKey } from "../api/once.ts";
import type { Entry, Merge, Result } from "../api/types.ts";
import { entriesIn } from "./structures.ts";

export interface Wanted {
  readonly entries: Entry[];
  readonly merge: Merge;
}

export interface KeepWatcher {
  changed(): void;
  tell(text: string): void;
  failed(error: unknown, retry: (() => void) | null): void;
}

type Results = Pick<Client, "addResult" | "deleteResult" | "replaceResult" | "result">;

export class Keeper {
  result: Result | null = null;

  readonly #client: Results;
  readonly #volume: string;
  readonly #wanted: () => Wanted;
  readonly #watcher: KeepWatcher;
  #kept: string;
  #keeping: Promise<void> = Promise.resolve();
  /** Sent as a new result, and not answered: it may be there. */
  #added: (Wanted & { key: string }) | null = null;
  /** Sent in place of the result's entries, and not answered. */
  #replaced: Wanted | null = null;

  /** `wanted`: what there is to keep now. */
  constructor(client: Results, volume: string, wanted: () => Wanted, watcher: KeepWatcher) {
    this.#client = client;
    this.#volume = volume;
    this.#wanted = wanted;
    this.#watcher = watcher;
    this.#kept = JSON.stringify(wanted());
  }

  /** The result that the service has; none. */
  found(result: Result | null): void {
    this.result = result;
    this.#kept = JSON.stringify({ entries: entriesIn(result), merge: result?.merge ?? "overlap" });
  }

  /** Whether the service has everything. */
  get isDone(): boolean {
    return JSON.stringify(this.#wanted()) === this.#kept;
  }

  /** Write what is wanted when the write before is over. Always the same function. */
  readonly keep = (): void => {
    this.#keeping = this.#keeping.then(() => this.#write());
  };

  /** When all writes are over. */
  async done(): Promise<void> {
    await this.#keeping;
  }

  async #write(): Promise<void> {
    try {
      if (this.#added !== null) await this.#addAgain(this.#added);
      if (this.isDone) return;
      const wanted = this.#wanted();
      if (wanted.entries.length === 0) await this.#delete();
      else if (this.result !== null && (await this.#isOurs(this.result))) {
        await this.#replace(this.result.id, wanted);
      } else await this.#add({ ...wanted, key: newKey() });
      this.#kept = JSON.stringify(wanted);
      this.#watcher.changed();
    } catch (error) {
      this.#watcher.failed(error, this.keep);
    }
  }

  async #delete(): Promise<void> {
    if (this.result !== null && (await this.#isOurs(this.result))) {
      await this.#client.deleteResult(this.result.id).catch(unlessMissing);
    }
    this.result = null;
  }

  async #replace(id: string, wanted: Wanted): Promise<void> {
    this.#replaced = wanted;
    this.result = await this.#client.replaceResult(id, wanted.entries, wanted.merge);
    this.#replaced = null;
  }

  async #add(sent: Wanted & { key: string }): Promise<void> {
    this.#added = sent;
    try {
      this.result = await this.#client.addResult(this.#volume, sent.entries, sent.merge, sent.key);
    } catch (error) {
      // Refused: there is nothing.
      if (!isPassing(error)) this.#added = null;
      throw error;
    }
    this.#added = null;
  }

  /** The same once more under the same key: it is made once, and the answer comes now. */
  async #addAgain(sent: Wanted & { key: string }): Promise<void> {
    try {
      await this.#add(sent);
      const { entries, merge } = sent;
      this.#kept = JSON.stringify({ entries, merge });
    } catch (error) {
      if (isPassing(error)) throw error;
    }
  }

  /** Whether a result is as we left it: what somebody else put into it must not be written over. */
  async #isOurs(result: Result): Promise<boolean> {
    const now = await this.#client.result(result.id).catch(unlessMissing);
    const sent = this.#replaced;
    this.#replaced = null;
    if (now === undefined) return false;
    if (now.revision === result.revision) return true;
    if (sent !== null && holds(now, sent)) {
      this.result = now;
      return true;
    }
    this.#watcher.tell("The result was changed elsewhere: what you do is kept as another one.");
    return false;
  }
}

/** Whether a result is what was sent. What was not said, such as a code, the service chose. */
function holds(result: Result, sent: Wanted): boolean {
  const entries = sent.entries.map((entry) => ({ candidate: "fused", ...entry }));
  return (
    result.merge === sent.merge &&
    result.entries.length === entries.length &&
    isWithin(entries, result.entries)
  );
}

function isWithin(said: unknown, found: unknown): boolean {
  if (typeof said !== "object" || said === null) return said === found;
  if (typeof found !== "object" || found === null) return false;
  const members = found as Record<string, unknown>;
  return Object.entries(said).every(([name, value]) => isWithin(value, members[name]));
}

function unlessMissing(error: unknown): undefined {
  if (!(error instanceof Refused && error.status === 404)) throw error;
}
