/** The scan's part of the page: three planes and the surface, and what mouse and keys do there. */

import type { Box, Triple } from "../api/types.ts";
import { h, icon, setText, svg } from "../dom.ts";
import { ICONS } from "../icons.ts";
import { type Rectangle, VIEWS, type View, arrange } from "./layout.ts";
import { type Frame, Marks, type Shown } from "./marks.ts";
import { PLANES, type Plane } from "./planes.ts";
import { Slices } from "./slices.ts";
import { Solid } from "./solid.ts";

export type Tool = "inside" | "outside" | "box" | "look";

export interface Acts {
  /** A click at a voxel of the display; `inside`: of the structure. */
  point(voxel: Triple, inside: boolean, began: number): void;
  /** A box, first and last voxel of the display. */
  box(box: Box, began: number): void;
  /** The cross hairs have come to rest. */
  rested(voxel: Triple): void;
  nextCandidate(): boolean;
  shown(): Omit<Shown, "drawing">;
}

/** Pixels from which on a press is a drag. */
const DRAG = 4;
const REST_MS = 350;
/** Pixels below which a view has no room for its slice's number. */
const NARROW = 300;

interface Press {
  pointer: number;
  plane: Plane;
  from: [number, number];
  last: [number, number];
  button: number;
  turned: boolean;
  dragged: boolean;
  corner: Triple;
  window: [number, number];
}

export class Stage {
  readonly element: HTMLElement;
  readonly slices: Slices;
  readonly solid: Solid;
  tool: Tool = "inside";
  large: View = "axial";

  readonly #acts: Acts;
  readonly #marks: Marks;
  readonly #solidBox: HTMLElement;
  readonly #bars: Record<View, HTMLElement>;
  #frames: Partial<Record<Plane, Frame>> = {};
  #plane: Plane = "axial";
  #press: Press | null = null;
  #drawing: Box | null = null;
  /** First corner of a box that is drawn with keys. */
  #corner: Triple | null = null;
  #rest = 0;

  private constructor(parts: Parts, slices: Slices, solid: Solid, acts: Acts) {
    this.element = parts.stage;
    this.#solidBox = parts.solidBox;
    this.slices = slices;
    this.solid = solid;
    this.#acts = acts;
    this.#marks = new Marks(parts.layer, slices);
    this.#bars = Object.fromEntries(VIEWS.map((view) => [view, this.#bar(view)])) as Record<
      View,
      HTMLElement
    >;
    parts.stage.append(...VIEWS.map((view) => this.#bars[view]));
    slices.drawn = () => this.redraw();
    this.#listen(parts.layer);
    new ResizeObserver(() => this.arrange()).observe(parts.stage);
    this.arrange();
  }

  static async in(host: HTMLElement, acts: Acts): Promise<Stage> {
    const canvas = h("canvas", { class: "slices", "aria-hidden": "true" });
    const solidCanvas = h("canvas", { "aria-hidden": "true" });
    const solidBox = h("div", {
      class: "solid",
      tabindex: 0,
      role: "img",
      "aria-label": "Surface of the masks. Arrow keys turn it.",
    });
    const holder = h("div", { class: "holder" }, canvas);
    const layer = svg("svg", {
      class: "marks",
      tabindex: 0,
      role: "application",
      "aria-label": "Scan in three planes",
      "aria-describedby": "keys-hint",
      "aria-keyshortcuts": "Enter Shift+Enter Tab Escape",
    });
    solidBox.append(solidCanvas);
    const stage = h("div", { class: "stage" }, holder, layer, solidBox);
    host.append(stage);
    const slices = await Slices.on(canvas);
    return new Stage({ stage, layer, solidBox }, slices, new Solid(solidCanvas), acts);
  }

  /** Lay the views out anew. */
  arrange(): void {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (width === 0 || height === 0) return;
    const places = arrange(this.large, width, height);
    const { surface, ...planes } = places;
    Object.assign(this.#solidBox.style, inPixels(surface, width, height));
    for (const view of VIEWS) {
      const { left, top } = inPixels(places[view], width, height);
      Object.assign(this.#bars[view].style, { left, top });
      this.#bars[view].classList.toggle("narrow", places[view].width * width < NARROW);
      const button = this.#bars[view].querySelector("button") as HTMLButtonElement;
      button.hidden = view === this.large;
    }
    for (const [plane, place] of Object.entries(planes)) {
      this.#frames[plane as Plane] = {
        left: place.x * width,
        top: place.y * height,
        width: place.width * width,
        height: place.height * height,
      };
    }
    this.slices.arrange(planes);
    this.solid.draw();
  }

  enlarge(view: View): void {
    this.large = view;
    this.arrange();
  }

  focus(): void {
    (this.element.querySelector(".marks") as SVGElement).focus();
  }

  goTo(voxel: Triple): void {
    this.slices.goTo(voxel);
    this.#rested();
  }

  /** Draw marks and slice numbers again; the scan itself stays. */
  redraw(): void {
    this.#marks.draw(this.#frames, { ...this.#acts.shown(), drawing: this.#drawing });
    const { axes, seen } = this.slices;
    for (const plane of Object.keys(PLANES) as Plane[]) {
      const { depth } = PLANES[plane];
      const text = axes ? `${seen[depth] + 1} / ${axes.display[depth]}` : "";
      setText(this.#bars[plane].querySelector(".number") as HTMLElement, text);
    }
  }

  /** Forget a box that is half drawn; whether there was one. */
  dropBox(): boolean {
    const there = this.#drawing !== null || this.#corner !== null;
    this.#drawing = this.#corner = null;
    this.#press = null;
    this.redraw();
    return there;
  }

  #rested(): void {
    clearTimeout(this.#rest);
    this.#rest = window.setTimeout(() => this.#acts.rested(this.slices.cross), REST_MS);
  }

  #bar(view: View): HTMLElement {
    const title = view === "surface" ? "Surface" : PLANES[view].title;
    const button = h(
      "button",
      { class: "enlarge", "aria-label": `Enlarge ${title.toLowerCase()}`, title: "Enlarge" },
      icon(ICONS.enlarge),
    );
    button.onclick = () => this.enlarge(view);
    return h("div", { class: "bar" }, h("span", {}, title), h("span", { class: "number" }), button);
  }

  #listen(layer: SVGSVGElement): void {
    layer.onpointerdown = (event) => this.#down(event, layer);
    layer.onpointermove = (event) => this.#move(event);
    layer.onpointerup = (event) => this.#up(event);
    layer.onpointercancel = () => this.dropBox();
    layer.oncontextmenu = (event) => event.preventDefault();
    layer.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    layer.onkeydown = (event) => this.#key(event);
    this.#solidBox.onkeydown = (event) => {
      const turn = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, 10], ArrowDown: [0, -10] }[
        event.key
      ];
      if (!turn) return;
      event.preventDefault();
      this.solid.turn(turn[0], turn[1]);
    };
  }

  #down(event: PointerEvent, layer: SVGSVGElement): void {
    const [x, y] = [event.offsetX, event.offsetY];
    const place = this.slices.at(x, y);
    if (place === null) return;
    event.preventDefault();
    layer.focus({ preventScroll: true });
    layer.setPointerCapture(event.pointerId);
    this.#plane = place.plane;
    this.#press = {
      pointer: event.pointerId,
      plane: place.plane,
      from: [x, y],
      last: [x, y],
      button: event.button,
      turned: event.shiftKey || event.button === 2,
      dragged: false,
      corner: place.voxel,
      window: this.slices.window,
    };
  }

  #move(event: PointerEvent): void {
    const press = this.#press;
    if (press === null || press.pointer !== event.pointerId) return;
    const [x, y] = [event.offsetX, event.offsetY];
    const [dx, dy] = [x - press.from[0], y - press.from[1]];
    if (!press.dragged && Math.hypot(dx, dy) < DRAG) return;
    press.dragged = true;
    if (press.button === 2) {
      const [low, high] = press.window;
      const width = (high - low) * Math.exp(dx / 200);
      const middle = (low + high) / 2 + ((high - low) * dy) / 300;
      this.slices.window = [middle - width / 2, middle + width / 2];
    } else if (press.button === 1 || event.altKey) {
      this.slices.drag(press.plane, press.last, [x, y]);
    } else {
      const place = this.slices.at(x, y);
      if (place !== null && place.plane === press.plane) {
        if (this.tool === "box") this.#stretch(press.corner, place.voxel);
        else this.goTo(place.voxel);
      }
    }
    press.last = [x, y];
  }

  #up(event: PointerEvent): void {
    const press = this.#press;
    this.#press = null;
    if (press === null || press.pointer !== event.pointerId) return;
    const began = performance.now();
    const drawn = this.#drawing;
    this.#drawing = null;
    if (press.dragged) {
      if (drawn !== null && this.tool === "box") this.#acts.box(drawn, began);
      return;
    }
    const place = this.slices.at(...press.from);
    if (place === null || !place.inside || press.button === 1) return;
    if (this.tool === "look") return this.goTo(place.voxel);
    // The mask is what is waited for: the other planes are drawn with it, not before.
    this.slices.goSoon(place.voxel);
    this.#rested();
    if (this.tool !== "box") {
      this.#acts.point(place.voxel, (this.tool === "inside") !== press.turned, began);
    }
  }

  #stretch(one: Triple, other: Triple): void {
    this.#drawing = [
      one.map((n, axis) => Math.min(n, other[axis])) as Triple,
      one.map((n, axis) => Math.max(n, other[axis])) as Triple,
    ];
    this.redraw();
  }

  #wheel(event: WheelEvent): void {
    const plane = this.slices.planeAt(event.offsetX, event.offsetY);
    if (plane === null) return;
    event.preventDefault();
    this.#plane = plane;
    if (event.ctrlKey || event.metaKey) {
      this.slices.zoom(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
    } else this.#step(PLANES[plane].depth, event.deltaY > 0 ? -1 : 1);
  }

  #step(axis: number, by: number): void {
    const voxel = this.slices.cross;
    voxel[axis] += by;
    const { axes } = this.slices;
    if (axes === null || voxel[axis] < 0 || voxel[axis] >= axes.display[axis]) return;
    this.goTo(voxel);
    if (this.#corner !== null) this.#stretch(this.#corner, voxel);
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { across, up, depth, mirrored } = PLANES[this.#plane];
    const right = mirrored ? -1 : 1;
    const pace = event.shiftKey ? 10 : 1;
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [across, -right * pace],
      ArrowRight: [across, right * pace],
      ArrowUp: [up, pace],
      ArrowDown: [up, -pace],
      PageUp: [depth, pace],
      PageDown: [depth, -pace],
    };
    const move = moves[event.key];
    if (move) this.#step(...move);
    else if (event.key === "Enter" || event.key === " ") this.#enter(event.shiftKey);
    else if (event.key === "Tab" && !event.shiftKey && this.#acts.nextCandidate()) {
      // Where there is nothing to go through, the focus goes on as everywhere.
    } else return;
    event.preventDefault();
  }

  #enter(turned: boolean): void {
    const began = performance.now();
    const voxel = this.slices.cross;
    if (this.tool === "box") {
      const corner = this.#corner;
      if (corner === null) {
        this.#corner = voxel;
        this.#stretch(voxel, voxel);
      } else {
        this.#stretch(corner, voxel);
        const box = this.#drawing as Box;
        this.dropBox();
        this.#acts.box(box, began);
      }
    } else if (this.tool !== "look") this.#acts.point(voxel, (this.tool === "inside") !== turned, began);
  }
}

interface Parts {
  stage: HTMLElement;
  layer: SVGSVGElement;
  solidBox: HTMLElement;
}

function inPixels(place: Rectangle, width: number, height: number): Record<string, string> {
  return {
    left: `${place.x * width}px`,
    top: `${place.y * height}px`,
    width: `${place.width * width}px`,
    height: `${place.height * height}px`,
  };
}
