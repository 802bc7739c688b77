/** What happens when: opening volumes, passing on what the user does, showing what came of it. */

import { type Address, readAddress, writeAddress } from "./address.ts";
import { Client } from "./api/client.ts";
import { isCancelled } from "./api/errors.ts";
import type { Box, Capabilities, Colour, Measured, Triple, Volume } from "./api/types.ts";
import { h, icon } from "./dom.ts";
import { ICONS } from "./icons.ts";
import { Layers } from "./mask/layers.ts";
import type { Mask } from "./mask/packed.ts";
import { AnswerPanel } from "./panels/answer.ts";
import { askKey, editStructure, showHelp } from "./panels/dialogs.ts";
import { FilesPanel } from "./panels/files.ts";
import { Notices } from "./panels/notices.ts";
import { OpenDialog, describe } from "./panels/open.ts";
import { StructuresPanel } from "./panels/structures.ts";
import { ToolBar } from "./panels/tools.ts";
import { WorkBar } from "./panels/work.ts";
import type { Click } from "./state/clicks.ts";
import { Session, type Watcher, candidatesOf } from "./state/session.ts";
import { type Structure, cleanLabel } from "./state/structures.ts";
import { VIEWS } from "./view/layout.ts";
import { type Acts, Stage, type Tool } from "./view/stage.ts";
import { WINDOWS } from "./windows.ts";

const ZOOM_STEP = 1.25;
const MEASURE_MS = 600;

export class App {
  readonly #client: Client;
  readonly #notices: Notices;
  readonly #open: OpenDialog;
  readonly #tools: ToolBar;
  readonly #structures: StructuresPanel;
  readonly #answer: AnswerPanel;
  readonly #files: FilesPanel;
  readonly #work = new WorkBar(() => this.#cancel());
  readonly #title = h("span", { class: "scan" });
  readonly #windows = h("select", { "aria-label": "Grey values", hidden: true });
  readonly #notice = h("p", { class: "hint" });
  readonly #doubts = h("ul", { class: "doubts" });
  readonly #holder = h("main", { class: "main" });
  #stage: Stage | null = null;
  #session: Session | null = null;
  #layers: Layers | null = null;
  #capabilities: Capabilities | null = null;
  #measured: Measured | null = null;
  #measuring = 0;
  #hidden = false;
  /** What the masks were coloured with, to tell whether that changes. */
  #colours = "";
  /** What the addresses of scans said when they were left, so that they are found as they were. */
  readonly #left = new Map<string, Address>();
  #stop = new AbortController();
  /** What is being put into the display, and all that was before. */
  #displaying: Promise<unknown> = Promise.resolve();

  constructor(base: URL) {
    this.#client = new Client(base);
    this.#notices = new Notices(this.#client);
    this.#notices.askKey = askOnce();
    this.#open = new OpenDialog(this.#client, this.#notices, ({ id }) => this.#go(this.#left.get(id) ?? { volume: id, result: null }));
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

  /** Once, when the page is there. */
  async start(): Promise<void> {
    try {
      this.#stage = await Stage.in(this.#holder, this.#acts());
    } catch {
      this.#notices.tell("This browser can not draw scans: it has no WebGL 2.", null, "error");
      return;
    }
    this.#holder.append(this.#work.element);
    this.#choose("inside");
    addEventListener("keydown", (event) => this.#key(event));
    addEventListener("beforeunload", (event) => {
      if (this.#session?.isKept === false) event.preventDefault();
    });
    addEventListener("popstate", () => void this.#show(readAddress(location.hash)));
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
      if (address.volume !== null) await this.#show(address);
      else if ((await this.#client.volumes()).items.length === 0) await this.#open.sample();
      else await this.#offer();
    } catch (error) {
      this.#notices.fail(error, () => void this.#begin());
    }
  }

  #build(): void {
    const open = h("button", { class: "primary", onclick: () => void this.#offer() });
    open.append(icon(ICONS.open), "Open");
    this.#windows.onchange = () => {
      const range = WINDOWS[this.#windows.value];
      if (this.#stage && range) this.#stage.slices.window = [...range];
      else this.#stage?.slices.resetWindow();
    };
    const top = h(
      "header",
      { class: "top" },
      h("h1", {}, "SAM-Med3D-MoE"),
      open,
      this.#title,
      this.#windows,
    );
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
    host.append(top, this.#tools.element, this.#holder, side, this.#notices.element, hint);
  }

  async #offer(): Promise<void> {
    await this.#open.show(this.#capabilities?.dicomweb ?? []);
  }

  #go(address: Address): void {
    history.pushState(null, "", writeAddress(address));
    void this.#show(address);
  }

  /** Show what an address names. */
  async #show({ volume: id, result }: Address): Promise<void> {
    if (id === null) return this.#offer();
    this.#stop.abort();
    const stop = new AbortController();
    this.#stop = stop;
    if (id === this.#session?.volume.id) return this.#work.loading("", null);
    try {
      const volume = await this.#client.volume(id);
      const share = (part: number): void => this.#work.loading("Loading the scan", part);
      share(0);
      const nifti = await this.#client.voxels(id, share, stop.signal);
      if (stop.signal.aborted) return;
      await this.#load(volume, nifti, result, stop.signal);
    } catch (error) {
      if (isCancelled(error) || stop.signal.aborted) return;
      const again = () => readAddress(location.hash).volume === id && void this.#show({ volume: id, result });
      this.#notices.fail(error, again);
    } finally {
      if (this.#stop === stop) this.#work.loading("", null);
    }
  }

  async #load(
    volume: Volume,
    nifti: ArrayBuffer,
    result: string | null,
    signal: AbortSignal,
  ): Promise<void> {
    const stage = this.#stage as Stage;
    const dropped = this.#session?.cancel() ?? 0;
    if (dropped > 0) this.#notices.tell(`${clicks(dropped)} on the scan before dropped.`);
    // From here on the display is no longer of the scan before; scans come into it one by one.
    this.#session = null;
    const before = this.#displaying;
    const displaying = before.then(() =>
      signal.aborted ? null : stage.slices.load(nifti, volume.shape),
    );
    this.#displaying = displaying.catch(() => null);
    const axes = await displaying;
    if (axes === null || signal.aborted) return;
    this.#layers = new Layers(axes);
    stage.solid.clear(volume.affine);
    stage.arrange();
    this.#measured = null;
    const session = new Session(
      this.#client,
      volume,
      result,
      this.#watcher(() => this.#session === session),
    );
    this.#session = session;
    this.#describe(volume);
    this.#update();
    stage.focus();
    void this.#warm(null);
    await this.#restore(session);
    if (!signal.aborted) this.#notices.say(`${document.title} is shown`);
  }

  /** Find what was kept; clicks wait for it, so a failure is tried again. */
  async #restore(session: Session): Promise<void> {
    if (this.#session !== session) return;
    try {
      await session.restore();
    } catch (error) {
      this.#notices.fail(error, () => void this.#restore(session));
    }
  }

  #describe(volume: Volume): void {
    const name = this.#open.nameOf(volume.id);
    const kind = volume.modality === "unknown" ? "Scan" : volume.modality;
    this.#title.textContent = `${name ?? kind}: ${describe(volume)}`;
    document.title = `${kind}, ${volume.shape.join(" × ")}: SAM-Med3D-MoE`;
    this.#doubts.replaceChildren(...volume.warnings.map(({ detail }) => h("li", {}, detail)));
    this.#windows.hidden = volume.modality !== "CT";
    const names = ["Grey values: automatic", ...Object.keys(WINDOWS)];
    this.#windows.replaceChildren(...names.map((each) => h("option", { value: each }, each)));
    if (volume.modality === "CT" && this.#stage) {
      this.#windows.value = "Soft tissue";
      this.#stage.slices.window = [...WINDOWS["Soft tissue"]];
    }
  }

  #watcher(isCurrent: () => boolean): Watcher {
    return {
      mask: (structure, mask) => {
        if (isCurrent()) this.#showMask(structure, mask);
      },
      changed: () => {
        if (isCurrent()) this.#update();
      },
      say: (text) => {
        if (isCurrent()) this.#notices.say(text);
      },
      tell: (text) => this.#notices.tell(text),
      failed: (error, retry) => this.#notices.fail(error, retry),
    };
  }

  #showMask(structure: Structure, mask: Mask | null): void {
    const stage = this.#stage as Stage;
    // Before the mask, so that one drawing does for both.
    const below = this.#layers?.arrange(this.#order()) ?? null;
    const changed = this.#layers?.show(structure.number, mask) ?? null;
    if (below !== null) stage.slices.paint(below);
    if (changed !== null) stage.slices.paint(changed);
    const { work } = this.#session as Session;
    if (work?.growing == null) stage.solid.show(structure.number, mask);
  }

  #order(): number[] {
    const { structures, active } = this.#session as Session;
    if (this.#hidden) return [];
    const seen = structures.filter(({ visible }) => visible);
    const top = seen.filter((structure) => structure === active);
    return [...seen.filter((structure) => structure !== active), ...top].map(({ number }) => number);
  }

  /** Show everything that is not a mask. */
  #update(): void {
    const session = this.#session;
    const stage = this.#stage;
    if (session === null || stage === null) return;
    const colours = new Map<number, Colour>(
      session.structures.map(({ number, colour }) => [number, colour]),
    );
    if (JSON.stringify([...colours]) !== this.#colours) {
      this.#colours = JSON.stringify([...colours]);
      stage.slices.colour(colours);
      stage.solid.colour(colours);
    }
    const order = this.#order();
    const changed = this.#layers?.arrange(order) ?? null;
    if (changed !== null) stage.slices.paint(changed);
    else stage.redraw();
    stage.solid.see(order);
    this.#structures.update(session.structures, session.active, session.history);
    this.#answer.update(session, this.#measured);
    this.#files.update(session, this.#open.serverOf(session.volume.id));
    this.#tools.update(session);
    const waiting = session.unanswered.length;
    this.#work.update(session.work, waiting);
    this.#notices.waiting = waiting;
    this.#measure(session);
    const address = { volume: session.volume.id, result: session.resultName };
    this.#left.set(address.volume, address);
    if (readAddress(location.hash).volume === address.volume) {
      history.replaceState(null, "", writeAddress(address));
    }
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
      shown: () => ({
        points: this.#session?.segmentation?.points ?? [],
        box: this.#session?.segmentation?.box ?? null,
        waiting: this.#waiting().flatMap(({ points }) => points),
        waitingBox: this.#waiting().findLast(({ box }) => box !== null)?.box ?? null,
      }),
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
    this.#stage?.slices.resetWindow();
    this.#windows.selectedIndex = 0;
  }

  #cancel(): boolean {
    const drawing = this.#stage?.dropBox() ?? false;
    const working = this.#session?.work != null;
    const dropped = this.#session?.cancel() ?? 0;
    if (dropped > (working ? 1 : 0)) this.#notices.tell(`${clicks(dropped)} dropped.`);
    this.#stop.abort();
    this.#work.loading("", null);
    return drawing || dropped > 0;
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

  #key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.defaultPrevented || target.closest("dialog, input, select, textarea")) return;
    const control = event.ctrlKey || event.metaKey;
    const name = control ? `Ctrl+${event.shiftKey ? "Shift+" : ""}${event.key.toLowerCase()}` : event.key;
    const act = this.#keys[name.length === 1 ? name.toLowerCase() : name];
    if (act === undefined || event.altKey) return;
    event.preventDefault();
    act();
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
      this.#hidden = !this.#hidden;
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

function clicks(count: number): string {
  return count === 1 ? "1 click was" : `${count} clicks were`;
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
