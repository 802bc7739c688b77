/** What the page tells: a line for screen readers, messages that go, and one that the service is away. */

import type { Client } from "../api/client.ts";
import { Away, Refused, isPassing } from "../api/errors.ts";
import { h, setText } from "../dom.ts";

const LOOK_AGAIN_MS = 2000;
const STAY_MS = 9000;

export class Notices {
  readonly element: HTMLElement;
  /** Asks for a key; resolves once there is one. */
  askKey: () => Promise<void> = () => Promise.resolve();

  readonly #client: Client;
  readonly #spoken = h("div", { class: "spoken", role: "status", "aria-live": "polite" });
  readonly #list = h("div", { class: "messages" });
  readonly #away: HTMLElement;
  readonly #waits = h("span", {});
  /** What is done once the service is back, in this order, and each once. */
  readonly #pending = new Set<() => void>();
  #looking = 0;
  #home: Element | null = null;

  constructor(client: Client) {
    this.#client = client;
    const again = h("button", { onclick: () => void this.#look() }, "Try again");
    this.#away = h(
      "div",
      { class: "away", role: "alert", hidden: true },
      h("strong", {}, "The service does not answer."),
      h("span", {}, " Nothing is lost: what was answered is kept there. The page tries again by itself."),
      this.#waits,
      again,
    );
    this.element = h("div", { class: "notices" }, this.#away, this.#list, this.#spoken);
    // Before the dialog itself hears of it, and goes.
    document.addEventListener("close", () => this.#bringUp(), true);
  }

  /** How many clicks wait for the service. */
  set waiting(count: number) {
    const them = count === 1 ? "1 click waits" : `${count} clicks wait`;
    const text = count === 0 ? "" : ` ${them}, and will be sent in order; undo takes the last one back.`;
    setText(this.#waits, text);
  }

  /** Be here, unless a dialog is open. */
  settle(home: Element): void {
    this.#home = home;
    this.#bringUp();
  }

  /** Take down what is of a scan, or a try, before. */
  forget(): void {
    for (const message of this.#list.querySelectorAll(".error, .offer")) message.remove();
  }

  /** For screen readers alone. */
  say(text: string): void {
    this.#spoken.textContent = text;
  }

  /** While a dialog is open nothing beside it can be read or used. */
  #bringUp(): void {
    const host = [...document.querySelectorAll("dialog:modal")].at(-1) ?? this.#home;
    if (this.element.parentElement !== host) host?.append(this.element);
  }

  /** A message, with something that can be done about it; one of kind "info" goes by itself. */
  tell(text: string, action?: [string, () => void] | null, kind = "info"): void {
    const message = h("div", { class: `message ${kind}`, role: kind === "error" ? "alert" : "status" });
    const close = (): void => message.remove();
    message.append(h("span", {}, text));
    if (action) {
      const [name, act] = action;
      message.append(
        h(
          "button",
          {
            onclick: () => {
              close();
              act();
            },
          },
          name,
        ),
      );
    }
    message.append(h("button", { class: "close", "aria-label": "Close message", onclick: close }, "×"));
    this.#bringUp();
    this.#list.append(message);
    while (this.#list.children.length > 3) this.#list.firstElementChild?.remove();
    if (kind === "info") setTimeout(close, STAY_MS);
  }

  /** What failed, in words, and what can be done. `retry`: do it again; the same function is called once. */
  fail(error: unknown, retry: (() => void) | null): void {
    if (error instanceof Away) {
      if (retry !== null) this.#pending.add(retry);
      this.#bringUp();
      this.#away.hidden = false;
      clearTimeout(this.#looking);
      this.#looking = window.setTimeout(() => void this.#look(), LOOK_AGAIN_MS);
    } else if (error instanceof Refused && error.status === 401) {
      void this.askKey().then(() => retry?.());
    } else if (error instanceof Refused) {
      const reference = error.status >= 500 && error.requestId ? ` (request ${error.requestId})` : "";
      const action = retry !== null && isPassing(error) ? (["Try again", retry] as [string, () => void]) : null;
      this.tell(`${error.message}${reference}`, action, "error");
    } else {
      this.tell(error instanceof Error ? error.message : "Something went wrong.", null, "error");
      console.error(error);
    }
  }

  async #look(): Promise<void> {
    clearTimeout(this.#looking);
    if (this.#away.hidden) return;
    if (!(await this.#client.isAlive())) {
      this.#looking = window.setTimeout(() => void this.#look(), LOOK_AGAIN_MS);
      return;
    }
    this.#away.hidden = true;
    this.say("The service answers again");
    const pending = [...this.#pending];
    this.#pending.clear();
    for (const act of pending) act();
  }
}
