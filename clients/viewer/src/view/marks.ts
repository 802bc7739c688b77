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
  readonly #layer: SVGSVGElement;
  readonly #slices: Slices;

  constructor(layer: SVGSVGElement, slices: Slices) {
    this.#layer = layer;
    this.#slices = slices;
  }

  draw(frames: Partial<Record<Plane, Frame>>, shown: Shown): void {
    const parts: SVGElement[] = [];
    for (const plane of ORDER) {
      const frame = frames[plane];
      if (frame) parts.push(this.#plane(plane, frame, shown));
    }
    this.#layer.replaceChildren(...parts);
  }

  #plane(plane: Plane, { left, top, width, height }: Frame, shown: Shown): SVGElement {
    const { axes } = this.#slices;
    const part = svg("svg", { x: left, y: top, width, height });
    part.append(...letters(plane, width, height));
    if (axes === null) return part;
    const spot = (voxel: readonly number[]): [number, number] | null => {
      const found = this.#slices.project(voxel, plane);
      return found && [found[0] - left, found[1] - top];
    };
    const cross = spot(this.#slices.cross);
    if (cross) part.append(crossHairs(cross, width, height));
    const drawings: [Box | null, string][] = [
      [shown.box && inDisplay(shown.box, (voxel) => axes.toDisplay(voxel)), "box"],
      [shown.waitingBox && inDisplay(shown.waitingBox, (voxel) => axes.toDisplay(voxel)), "box waiting"],
      [shown.drawing, "box drawing"],
    ];
    for (const [box, kind] of drawings) {
      if (box) part.append(...this.#box(box, plane, spot, kind));
    }
    const clicks: [readonly Point[], boolean][] = [
      [shown.points, false],
      [shown.waiting, true],
    ];
    for (const [points, waiting] of clicks) {
      for (const { position, label } of points) {
        const voxel = axes.toDisplay(position);
        const away = Math.abs(voxel[PLANES[plane].depth] - this.#slices.cross[PLANES[plane].depth]);
        const at = spot(voxel);
        if (at && away <= DEPTH) part.append(click(at, label === 1, away, waiting));
      }
    }
    return part;
  }

  #box(
    [low, high]: Box,
    plane: Plane,
    spot: (voxel: readonly number[]) => [number, number] | null,
    kind: string,
  ): SVGElement[] {
    const { depth } = PLANES[plane];
    const at = this.#slices.cross[depth];
    if (at < low[depth] || at > high[depth]) return [];
    // To the outer edges of its voxels.
    const one = spot(low.map((n) => n - 0.5));
    const other = spot(high.map((n) => n + 0.5));
    if (!one || !other) return [];
    const [x, y] = [Math.min(one[0], other[0]), Math.min(one[1], other[1])];
    const [width, height] = [Math.abs(one[0] - other[0]), Math.abs(one[1] - other[1])];
    return [svg("rect", { x, y, width, height, class: kind })];
  }
}

function inDisplay(box: Box, turn: (voxel: Triple) => Triple): Box {
  const [one, other] = box.map((corner) => turn(corner.map(Math.round) as Triple)) as Box;
  return [
    one.map((n, axis) => Math.min(n, other[axis])) as Triple,
    one.map((n, axis) => Math.max(n, other[axis])) as Triple,
  ];
}

function letters(plane: Plane, width: number, height: number): SVGElement[] {
  const [left, right, top, bottom] = PLANES[plane].edges;
  const middle = { "text-anchor": "middle", "dominant-baseline": "middle", class: "edge" };
  return [
    svg("text", { x: 12, y: height / 2, ...middle }, left),
    svg("text", { x: width - 12, y: height / 2, ...middle }, right),
    svg("text", { x: width / 2, y: 14, ...middle }, top),
    svg("text", { x: width / 2, y: height - 12, ...middle }, bottom),
  ];
}

function crossHairs([x, y]: [number, number], width: number, height: number): SVGElement {
  const lines = `M0 ${y}H${x - GAP}M${x + GAP} ${y}H${width}M${x} 0V${y - GAP}M${x} ${y + GAP}V${height}`;
  return svg("path", { d: lines, class: "cross" });
}

function click([x, y]: [number, number], inside: boolean, away: number, waiting: boolean): SVGElement {
  const kind = `click ${inside ? "inside" : "outside"}${waiting ? " waiting" : ""}`;
  const sign = inside ? `M${x - 3} ${y}h6M${x} ${y - 3}v6` : `M${x - 3} ${y}h6`;
  return svg(
    "g",
    { class: kind, opacity: 1 - (0.8 * away) / DEPTH },
    svg("circle", { cx: x, cy: y, r: 6 }),
    svg("path", { d: sign }),
  );
}
