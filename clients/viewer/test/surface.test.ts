import assert from "node:assert/strict";
import { test } from "node:test";
import type { Mask } from "../src/mask/packed.ts";
import { type Surface, surfaceOf } from "../src/mask/surface.ts";

/** A ball in the middle of a box. */
function ball(radius: number): Mask {
  const side = 2 * radius + 1;
  const bits = new Uint8Array(Math.ceil(side ** 3 / 8));
  let count = 0;
  for (let n = 0; n < side ** 3; n++) {
    const place = [n % side, Math.floor(n / side) % side, Math.floor(n / side ** 2)];
    if (place.reduce((sum, x) => sum + (x - radius) ** 2, 0) > radius ** 2) continue;
    bits[n >> 3] |= 1 << (n & 7);
    count++;
  }
  return { shape: [99, 99, 99], first: [10, 20, 30], size: [side, side, side], count, bits };
}

/** Volume within closed triangles that look outwards; by the divergence theorem. */
function volumeOf({ positions, triangles }: Surface): number {
  let sum = 0;
  for (let t = 0; t < triangles.length; t += 3) {
    const [a, b, c] = [0, 1, 2].map((n) => {
      const at = 3 * triangles[t + n];
      return positions.subarray(at, at + 3);
    });
    sum +=
      a[0] * (b[1] * c[2] - b[2] * c[1]) -
      a[1] * (b[0] * c[2] - b[2] * c[0]) +
      a[2] * (b[0] * c[1] - b[1] * c[0]);
  }
  return sum / 6;
}

const AFFINES = [
  [[2, 0, 0, -5], [0, 1, 0, 7], [0, 0, 1, 1], [0, 0, 0, 1]],
  [[-1, 0, 0, 50], [0, 0, 1, 0], [0, 2, 0, 0], [0, 0, 0, 1]],
  [[-1, 0, 0, 50], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]],
];

test("a ball's surface lies around its middle, is closed, looks outwards and keeps the volume", () => {
  const mask = ball(8);
  for (const affine of AFFINES) {
    const surface = surfaceOf(mask, affine);
    const volume = volumeOf(surface) / 2;
    assert.ok(Math.abs(volume / mask.count - 1) < 0.06, `${volume} of ${mask.count}`);
    const middle = [0, 1, 2].map((d) => {
      let sum = 0;
      for (let at = d; at < surface.positions.length; at += 3) sum += surface.positions[at];
      return sum / (surface.positions.length / 3);
    });
    const wanted = affine.slice(0, 3).map((row) => row[0] * 18 + row[1] * 28 + row[2] * 38 + row[3]);
    for (let d = 0; d < 3; d++) assert.ok(Math.abs(middle[d] - wanted[d]) < 0.1, `${middle} ${wanted}`);
    assertClosed(surface);
  }
});

/** Each edge belongs to two triangles, once in each direction. */
function assertClosed({ triangles }: Surface): void {
  const edges = new Map<string, number>();
  for (let t = 0; t < triangles.length; t += 3) {
    for (let side = 0; side < 3; side++) {
      const [a, b] = [triangles[t + side], triangles[t + ((side + 1) % 3)]];
      edges.set(`${a} ${b}`, (edges.get(`${a} ${b}`) ?? 0) + 1);
    }
  }
  for (const [edge, count] of edges) {
    assert.equal(count, 1);
    assert.ok(edges.has(edge.split(" ").reverse().join(" ")));
  }
}
