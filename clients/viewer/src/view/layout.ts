/** Where the views are on the stage: one large, the others beside or below it. */

import type { Plane } from "./planes.ts";

/** Parts of the stage, 0 to 1. */
export interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

export type View = Plane | "surface";

export const VIEWS: readonly View[] = ["axial", "coronal", "sagittal", "surface"];

const LARGE = 0.64;

/** `gap`: pixels between views. */
export function arrange(
  large: View,
  width: number,
  height: number,
  gap = 2,
): Record<View, Rectangle> {
  const others = VIEWS.filter((view) => view !== large);
  const upright = width < height;
  const places = { [large]: upright ? box(0, 0, 1, LARGE) : box(0, 0, LARGE, 1) };
  for (const [n, view] of others.entries()) {
    places[view] = upright
      ? box(n / 3, LARGE, 1 / 3, 1 - LARGE)
      : box(LARGE, n / 3, 1 - LARGE, 1 / 3);
  }
  for (const place of Object.values(places)) inset(place, gap / 2 / width, gap / 2 / height);
  return places as Record<View, Rectangle>;
}

function box(x: number, y: number, width: number, height: number): Rectangle {
  return { x, y, width, height };
}

function inset(place: Rectangle, across: number, down: number): void {
  place.x += across;
  place.y += down;
  place.width -= 2 * across;
  place.height -= 2 * down;
}
