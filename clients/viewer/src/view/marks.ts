/** What is drawn over the planes: cross hairs, clicks, boxes, and what lies at the edges. */

import type { Box, Point, Triple } from "../api/types.ts";
import { svg } from "../dom.ts";
import { ORDER, PLANES, type Plane } from "./planes.ts";
import type { Slices } from "./slices.ts";

export interface Frame {
  left: number;
  top: number;
  width: number;
  height: number;
}

export interface Shown {
  points: readonly Point[];
  box: Box | null;
  /** Not answered yet. */
  waiting: readonly Point[];
  waitingBox: Box | null;
  /** Being drawn; voxels of the display. */
  drawing: Box | null;
}

/** Voxels from its plane within which a click is seen, ever fainter. */
const DEPTH = 4;
const GAP = 9;

export class Marks {
  readonly #planes: ReadonlyMap<Plane, Sheet>;
  readonly #slices: Slices;

  constructor(layer: SVGSVGElement, slices: Slices) {
    this.#planes = new Map(ORDER.map((plane) => [plane, new Sheet(layer)]));
    this.#slices = slices;
  }

  draw(frames: Partial<Record<Plane, Frame>>, shown: Shown): void {
    for (const [plane, sheet] of this.#planes) {
      const frame = frames[plane];
      sheet.place(frame ?? null);
      if (frame) sheet.show([...this.#plane(plane, frame, shown)]);
    }
  }

  *#plane(plane: Plane, { left, top, width, height }: Frame, shown: Shown): Generator<Mark> {
    const { axes, seen } = this.#slices;
    yield* letters(plane, width, height);
    if (axes === null) return;
    const spot = (voxel: readonly number[]): [number, number] | null => {
      const found = this.#slices.project(voxel, plane);
      return found && [found[0] - left, found[1] - top];
    };
    const cross = spot(seen);
    if (cross) yield crossHairs(cross, width, height);
    const drawings: [Box | null, string][] = [
      [shown.box && inDisplay(shown.box, (voxel) => axes.toDisplay(voxel)), "box"],
      [shown.waitingBox && inDisplay(shown.waitingBox, (voxel) => axes.toDisplay(voxel)), "box waiting"],
      [shown.drawing, "box drawing"],
    ];
    const { depth } = PLANES[plane];
    for (const [box, kind] of drawings) {
      if (box !== null && box[0][depth] <= seen[depth] && seen[depth] <= box[1][depth]) {
        yield* rectangle(box, spot, kind);
      }
    }
    const clicks: [readonly Point[], boolean][] = [
      [shown.points, false],
      [shown.waiting, true],
    ];
    for (const [points, waiting] of clicks) {
      for (const { position, label } of points) {
        const voxel = axes.toDisplay(position);
        const away = Math.abs(voxel[depth] - seen[depth]);
        const at = spot(voxel);
        if (at && away <= DEPTH) yield click(at, label === 1, away, waiting);
      }
    }
  }
}

/** A part of the drawing: an element's name, its attributes, and its text. */
type Mark = readonly ["text" | "path" | "rect", Record<string, unknown>, string?];

/**
 * The marks over one plane. An element stays as long as its mark does: what is drawn anew, the browser
 * puts together anew with the scan below, and without a GPU that takes from a click that is answered.
 */
class Sheet {
  readonly #element = svg("svg");
  #shown = new Map<string, SVGElement>();
  #place = "";

  constructor(layer: SVGSVGElement) {
    layer.append(this.#element);
  }

  /** Where it lies; none: nowhere. */
  place(frame: Frame | null): void {
    const place = JSON.stringify(frame);
    if (place === this.#place) return;
    this.#place = place;
    const { left: x, top: y, width, height } = frame ?? { left: 0, top: 0, width: 0, height: 0 };
    for (const [name, value] of Object.entries({ x, y, width, height })) {
      this.#element.setAttribute(name, String(value));
    }
  }

  /** Show these, the first lowest, and no others. */
  show(marks: readonly Mark[]): void {
    const before = this.#shown;
    this.#shown = new Map();
    for (const mark of marks) {
      const name = JSON.stringify(mark);
      if (this.#shown.has(name)) continue;
      const [tag, attributes, text] = mark;
      this.#shown.set(name, before.get(name) ?? svg(tag, attributes, text ?? null));
      before.delete(name);
    }
    for (const gone of before.values()) gone.remove();
    let next = this.#element.firstChild;
    for (const element of this.#shown.values()) {
      if (element === next) next = next.nextSibling;
      else this.#element.insertBefore(element, next);
    }
  }
}

function inDisplay(box: Box, turn: (voxel: Triple) => Triple): Box {
  const [one, other] = box.map((corner) => turn(corner.map(Math.round) as Triple)) as Box;
  return [
    one.map((n, axis) => Math.min(n, other[axis])) as Triple,
    one.map((n, axis) => Math.max(n, other[axis])) as Triple,
  ];
}

function letters(plane: Plane, width: number, height: number): Mark[] {
  const [left, right, top, bottom] = PLANES[plane].edges;
  const middle = { "text-anchor": "middle", "dominant-baseline": "middle", class: "edge" };
  return [
    ["text", { x: 12, y: height / 2, ...middle }, left],
    ["text", { x: width - 12, y: height / 2, ...middle }, right],
    ["text", { x: width / 2, y: 14, ...middle }, top],
    ["text", { x: width / 2, y: height - 12, ...middle }, bottom],
  ];
}

function crossHairs([x, y]: [number, number], width: number, height: number): Mark {
  const lines = `M0 ${y}H${x - GAP}M${x + GAP} ${y}H${width}M${x} 0V${y - GAP}M${x} ${y + GAP}V${height}`;
  return ["path", { d: lines, class: "cross" }];
}

function rectangle(
  [low, high]: Box,
  spot: (voxel: readonly number[]) => [number, number] | null,
  kind: string,
): Mark[] {
  // To the outer edges of its voxels.
  const one = spot(low.map((n) => n - 0.5));
  const other = spot(high.map((n) => n + 0.5));
  if (!one || !other) return [];
  const [x, y] = [Math.min(one[0], other[0]), Math.min(one[1], other[1])];
  const [width, height] = [Math.abs(one[0] - other[0]), Math.abs(one[1] - other[1])];
  return [["rect", { x, y, width, height, class: kind }]];
}

function click([x, y]: [number, number], inside: boolean, away: number, waiting: boolean): Mark {
  const ring = `M${x - 6} ${y}a6 6 0 1 0 12 0a6 6 0 1 0 -12 0`;
  const sign = inside ? `M${x - 3} ${y}h6M${x} ${y - 3}v6` : `M${x - 3} ${y}h6`;
  const kind = `click ${inside ? "inside" : "outside"}${waiting ? " waiting" : ""}`;
  return ["path", { d: ring + sign, class: kind, opacity: 1 - (0.8 * away) / DEPTH }];
}
