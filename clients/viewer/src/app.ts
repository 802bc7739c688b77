/** What happens when: passing on what the user does, and showing what came of it. */

import { readAddress } from "./address.ts";
import { Client } from "./api/client.ts";
import type { Box, Capabilities, Measured, Triple } from "./api/types.ts";
import { h } from "./dom.ts";
import { listenForKeys } from "./keys.ts";
import { AnswerPanel } from "./panels/answer.ts";
import { askKey, editStructure, showHelp } from "./panels/dialogs.ts";
import { FilesPanel } from "./panels/files.ts";
import { Notices } from "./panels/notices.ts";
import { OpenDialog } from "./panels/open.ts";
import { StructuresPanel } from "./panels/structures.ts";
import { ToolBar } from "./panels/tools.ts";
import { TopBar } from "./panels/top.ts";
import { WorkBar } from "./panels/work.ts";
import { Scans, dropped } from "./scans.ts";
import type { Click } from "./state/clicks.ts";
import { candidatesOf } from "./state/candidates.ts";
import type { Session, Watcher } from "./state/session.ts";
import { type Structure, cleanLabel } from "./state/structures.ts";
import { Display } from "./view/display.ts";
import { VIEWS } from "./view/layout.ts";
import { type Acts, Stage, type Tool } from "./view/stage.ts";

const ZOOM_STEP = 1.25;
const MEASURE_MS = 600;
/** How old a click is when it is marked as waiting. Most are answered before, and a picture between click
 * and mask has a browser without a GPU draw for longer than the answer takes. */
const MARK_MS = 150;

export class App {
  readonly #client: Client;
  readonly #notices: Notices;
  readonly #open: OpenDialog;
  readonly #scans: Scans;
  readonly #top: TopBar;
  readonly #tools: ToolBar;
  readonly #structures: StructuresPanel;
  readonly #answer: AnswerPanel;
  readonly #files: FilesPanel;
  readonly #work = new WorkBar(() => this.#cancel());
  readonly #notice = h("p", { class: "hint" });
  readonly #doubts = h("ul", { class: "doubts" });
  readonly #holder = h("main", { class: "main" });
  #stage: Stage | null = null;
  #display: Display | null = null;
  #capabilities: Capabilities | null = null;
  #measured: Measured | null = null;
  #measuring = 0;
  #marking = 0;

  constructor(base: URL) {
    this.#client = new Client(base);
    this.#notices = new Notices(this.#client);
    this.#notices.askKey = askOnce();
    this.#open = new OpenDialog(this.#client, this.#notices, ({ id }) => this.#show(id));
    this.#scans = new Scans(this.#client, this.#notices, {
      load: async (nifti, volume) => this.#display?.load(nifti, volume),
      loading: (share) => this.#work.loading("Loading the scan", share),
      opened: (session) => this.#opened(session),
      watcher: (isShown) => this.#watcher(isShown),
      offer: () => void this.#offer(),
    });
    this.#top = new TopBar({
      open: () => void this.#offer(),
      window: (range) => {
        if (this.#stage && range) this.#stage.slices.window = range;
        else this.#stage?.slices.resetWindow();
      },
    });
    this.#tools = new ToolBar({
      tool: (tool) => this.#choose(tool),
      undo: () => this.#session?.undo(),
      redo: () => this.#session?.redo(),
      candidate: () => void this.#session?.nextCandidate(),
      fit: () => this.#fit(),
      help: showHelp,
    });
    this.#structures = new StructuresPanel({
      choose: (structure) => this.#session?.choose(structure),
      rename: (structure, label) => this.#rename(structure, label),
      edit: (structure) => this.#edit(structure),
      see: (structure) => {
        structure.visible = !structure.visible;
        this.#update();
      },
      remove: (structure) => this.#remove(structure),
      add: () => this.#session?.addStructure(),
    });
    this.#answer = new AnswerPanel({
      expert: (name) => this.#session?.askAgain(name),
      candidate: (name) => void this.#session?.showCandidate(name),
      keep: () => this.#session?.keepCandidate(),
    });
    this.#files = new FilesPanel(this.#client, this.#notices);
    this.#build();
  }

  get #session(): Session | null {
    return this.#scans.session;
  }

  /** Once, when the page is there. */
  async start(): Promise<void> {
    try {
      this.#stage = await Stage.in(this.#holder, this.#acts());
    } catch {
      this.#notices.tell("This browser can not draw scans: it has no WebGL 2.", null, "error");
      return;
    }
    this.#display = new Display(this.#stage);
    this.#holder.append(this.#work.element);
    this.#choose("inside");
    listenForKeys(this.#keys);
    addEventListener("beforeunload", (event) => {
      if (this.#session?.isKept === false) event.preventDefault();
    });
    addEventListener("popstate", () => void this.#scans.show(readAddress(location.hash)));
    await this.#begin();
  }

  async #begin(): Promise<void> {
    try {
      const capabilities = await this.#client.capabilities();
      this.#capabilities = capabilities;
      this.#answer.experts = capabilities.experts;
      this.#files.servers = capabilities.dicomweb;
      this.#notice.textContent = `${capabilities.notice} ${capabilities.bundle.name}, version ${capabilities.version}.`;
      const address = readAddress(location.hash);
      if (address.volume !== null) await this.#scans.show(address);
      else if ((await this.#client.volumes()).items.length === 0) await this.#open.sample();
      else await this.#offer();
    } catch (error) {
      this.#notices.fail(error, () => void this.#begin());
    }
  }

  #build(): void {
    const side = h(
      "aside",
      { class: "side", "aria-label": "Structures and answers" },
      this.#structures.element,
      this.#answer.element,
      this.#files.element,
      this.#doubts,
      this.#notice,
    );
    const hint = h(
      "p",
      { id: "keys-hint", class: "spoken" },
      "Arrow keys move the cross hairs, Enter clicks there. Tab shows the next candidate, Shift and Tab or Escape leave.",
    );
    const host = document.getElementById("app") as HTMLElement;
    host.append(this.#top.element, this.#tools.element, this.#holder, side, hint);
    this.#notices.settle(side);
  }

  async #offer(): Promise<void> {
    await this.#open.show(this.#capabilities?.dicomweb ?? []);
  }

  #show(id: string): void {
    const volume = this.#session?.volume;
    // The same bytes are the same scan: under another name, perhaps.
    if (volume?.id === id && readAddress(location.hash).volume === id) {
      this.#top.name(volume, this.#open.nameOf(id));
    } else this.#scans.open(id);
  }

  #opened(session: Session): void {
    const { volume } = session;
    this.#notices.forget();
    this.#measured = null;
    this.#top.describe(volume, this.#open.nameOf(volume.id));
    this.#doubts.replaceChildren(...volume.warnings.map(({ detail }) => h("li", {}, detail)));
    this.#update();
    this.#stage?.focus();
    void this.#warm(null);
  }

  #watcher(isShown: () => boolean): Watcher {
    return {
      mask: (structure, mask) => {
        const session = this.#session;
        if (session !== null && isShown()) this.#display?.show(session, structure, mask);
      },
      changed: () => {
        if (isShown()) this.#update();
      },
      say: (text) => {
        if (isShown()) this.#notices.say(text);
      },
      tell: (text) => this.#notices.tell(text),
      offer: (text, action) => {
        if (isShown()) this.#notices.tell(text, action, "offer");
      },
      failed: (error, retry) => this.#notices.fail(error, retry),
    };
  }

  /** Show everything that is not a mask. */
  #update(): void {
    const session = this.#session;
    if (session === null) return;
    this.#display?.update(session);
    this.#structures.update(session);
    this.#answer.update(session, this.#measured);
    this.#files.update(session, this.#open.serverOf(session.volume.id));
    this.#tools.update(session);
    const waiting = session.unanswered.length;
    this.#work.update(session.work, waiting);
    this.#notices.waiting = waiting;
    clearTimeout(this.#marking);
    if (waiting > 0) this.#marking = window.setTimeout(() => this.#stage?.redraw(), MARK_MS);
    this.#measure(session);
    this.#scans.update();
  }

  /** Diameters take the service a moment: they are asked for once nobody clicks. */
  #measure(session: Session): void {
    const { segmentation } = session;
    clearTimeout(this.#measuring);
    if (segmentation === null || segmentation.id === this.#measured?.id || session.work !== null) return;
    this.#measuring = window.setTimeout(() => {
      this.#client.measured(segmentation.id).then(
        (measured) => {
          this.#measured = measured;
          if (session === this.#session) this.#answer.update(session, measured);
        },
        () => undefined,
      );
    }, MEASURE_MS);
  }

  #acts(): Acts {
    return {
      point: (place, inside, began) => this.#prompt(place, inside, began),
      box: (box, began) => this.#box(box, began),
      rested: (voxel) => void this.#warm(voxel),
      nextCandidate: () => {
        const many = candidatesOf(this.#session?.segmentation ?? null).length > 1;
        if (many) void this.#session?.nextCandidate();
        return many;
      },
      shown: () => {
        const { segmentation = null } = this.#session ?? {};
        const waiting = this.#waiting();
        const old = waiting.filter(({ began }) => performance.now() - began >= MARK_MS);
        return {
          points: segmentation?.points ?? [],
          box: segmentation?.box ?? null,
          waiting: old.flatMap(({ points }) => points),
          // In place of the one that was drawn, which goes now.
          waitingBox: waiting.findLast(({ box }) => box !== null)?.box ?? null,
        };
      },
    };
  }

  /** Clicks on the active structure that are not answered. */
  #waiting(): Click[] {
    const { unanswered = [], active } = this.#session ?? {};
    return unanswered.filter(({ structure }) => structure === active);
  }

  #prompt(place: Triple, inside: boolean, began: number): void {
    const session = this.#session;
    const axes = this.#stage?.slices.axes;
    if (session === null || !axes) return;
    if (!inside && session.isBlank(session.active)) {
      this.#notices.tell("Show first what is inside of the structure.");
      return;
    }
    session.prompt([{ position: axes.toVoxel(place), label: inside ? 1 : 0 }], null, began);
  }

  #box(box: Box, began: number): void {
    const axes = this.#stage?.slices.axes;
    if (!axes) return;
    const [one, other] = box.map((corner) => axes.toVoxel(corner)) as Box;
    const low = one.map((n, axis) => Math.min(n, other[axis])) as Triple;
    const high = one.map((n, axis) => Math.max(n, other[axis])) as Triple;
    if (low.filter((n, axis) => n === high[axis]).length > 1) return;
    this.#session?.prompt([], [low, high], began);
  }

  /** Have the region around a place prepared before anybody clicks there. */
  async #warm(voxel: Triple | null): Promise<void> {
    const session = this.#session;
    const axes = this.#stage?.slices.axes;
    if (session === null || !axes || session.work !== null) return;
    const point = voxel && ({ position: axes.toVoxel(voxel), label: 1 } as const);
    // A click there says what is wrong, if anything is.
    await this.#client.warm(session.volume.id, point).catch(() => undefined);
  }

  #choose(tool: Tool): void {
    const stage = this.#stage;
    if (stage === null) return;
    stage.dropBox();
    stage.tool = tool;
    stage.element.dataset["tool"] = tool;
    this.#tools.choose(tool);
  }

  #fit(): void {
    this.#stage?.slices.resetView();
    this.#top.reset();
  }

  #cancel(): boolean {
    const drawing = this.#stage?.dropBox() ?? false;
    const working = this.#session?.work != null;
    const clicks = this.#session?.cancel() ?? 0;
    if (clicks > (working ? 1 : 0)) this.#notices.tell(dropped(clicks));
    this.#scans.cancel();
    return drawing || clicks > 0;
  }

  #rename(structure: Structure, label: string): void {
    structure.label = cleanLabel(label) || structure.label;
    this.#session?.edited();
  }

  #edit(structure: Structure): void {
    editStructure(structure, this.#capabilities?.experts ?? [], () => this.#session?.edited());
  }

  #remove(structure: Structure): void {
    const session = this.#session;
    if (session === null) return;
    const at = session.structures.indexOf(structure);
    session.remove(structure);
    if (structure.head === null) return;
    this.#notices.tell(`${structure.label} was removed.`, ["Bring it back", () => void session.bringBack(structure, at)]);
  }

  readonly #keys: Record<string, () => void> = {
    "Ctrl+z": () => this.#session?.undo(),
    "Ctrl+y": () => this.#session?.redo(),
    "Ctrl+Shift+z": () => this.#session?.redo(),
    "1": () => this.#choose("inside"),
    "2": () => this.#choose("outside"),
    "3": () => this.#choose("box"),
    "4": () => this.#choose("look"),
    c: () => void this.#session?.nextCandidate(),
    k: () => this.#session?.keepCandidate(),
    n: () => this.#session?.addStructure(),
    h: () => {
      if (this.#display) this.#display.hidden = !this.#display.hidden;
      this.#update();
    },
    m: () => this.#enlargeNext(),
    "0": () => this.#fit(),
    "+": () => this.#zoom(ZOOM_STEP),
    "-": () => this.#zoom(1 / ZOOM_STEP),
    "?": showHelp,
    Escape: () => {
      if (!this.#cancel()) (document.activeElement as HTMLElement | null)?.blur();
    },
  };

  #enlargeNext(): void {
    const stage = this.#stage;
    stage?.enlarge(VIEWS[(VIEWS.indexOf(stage.large) + 1) % VIEWS.length]);
  }

  #zoom(factor: number): void {
    const slices = this.#stage?.slices;
    const large = this.#stage?.large;
    if (!slices || large === undefined || large === "surface") return;
    const at = slices.project(slices.cross, large);
    if (at) slices.zoom(factor, ...at);
  }
}

/** One dialog for a key, however many requests need it. */
function askOnce(): () => Promise<void> {
  let asking: Promise<void> | null = null;
  return () => {
    asking ??= askKey().finally(() => {
      asking = null;
    });
    return asking;
  };
}
