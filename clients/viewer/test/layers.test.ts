import assert from "node:assert/strict";
import { test } from "node:test";
import type { Triple } from "../src/api/types.ts";
import { Layers, type Patch } from "../src/mask/layers.ts";
import { type Mask, has } from "../src/mask/packed.ts";
import { Axes } from "../src/space/axes.ts";
import { permutations } from "./permutations.ts";

const SHAPE: Triple = [4, 5, 6];

/** A mask of voxels drawn by a fixed rule. */
function someMask(first: Triple, size: Triple, seed: number): Mask {
  const voxels = size[0] * size[1] * size[2];
  const bits = new Uint8Array(Math.ceil(voxels / 8));
  let [count, state] = [0, seed];
  for (let n = 0; n < voxels; n++) {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    if (state % 3 === 0) continue;
    bits[n >> 3] |= 1 << (n & 7);
    count++;
  }
  return { shape: SHAPE, first, size, count, bits };
}

class Screen {
  readonly numbers: Uint8Array;
  readonly axes: Axes;

  constructor(axes: Axes) {
    this.axes = axes;
    this.numbers = new Uint8Array(SHAPE[0] * SHAPE[1] * SHAPE[2]);
  }

  paint(patch: Patch | null): void {
    if (patch === null) return;
    const [nx, ny] = this.axes.display;
    const [a, b, c] = patch.size;
    assert.equal(patch.numbers.length, a * b * c);
    for (let z = 0, n = 0; z < c; z++)
      for (let y = 0; y < b; y++)
        for (let x = 0; x < a; x++, n++) {
          const [px, py, pz] = patch.first;
          this.numbers[px + x + nx * (py + y + ny * (pz + z))] = patch.numbers[n];
        }
  }

  at(voxel: Triple): number {
    const [x, y, z] = this.axes.toDisplay(voxel);
    return this.numbers[x + this.axes.display[0] * (y + this.axes.display[1] * z)];
  }
}

function check(screen: Screen, layers: readonly [number, Mask][]): void {
  for (let i = 0; i < SHAPE[0]; i++)
    for (let j = 0; j < SHAPE[1]; j++)
      for (let k = 0; k < SHAPE[2]; k++) {
        let wanted = 0;
        for (const [number, mask] of layers) if (has(mask, [i, j, k])) wanted = number;
        assert.equal(screen.at([i, j, k]), wanted, `${[i, j, k]}`);
      }
}

test("masks lie where they belong, the topmost above, in all 48 orientations", () => {
  const one = someMask([0, 1, 1], [3, 3, 4], 1);
  const other = someMask([1, 0, 2], [3, 4, 4], 2);
  const smaller = someMask([2, 2, 2], [1, 1, 2], 4);
  for (const permutation of permutations()) {
    const axes = new Axes(SHAPE, permutation);
    const [layers, screen] = [new Layers(axes), new Screen(axes)];
    screen.paint(layers.arrange([1, 2]));
    screen.paint(layers.show(1, one));
    screen.paint(layers.show(2, other));
    check(screen, [
      [1, one],
      [2, other],
    ]);
    screen.paint(layers.arrange([2, 1]));
    check(screen, [
      [2, other],
      [1, one],
    ]);
    // What the mask before covered, and this one does not, is free again.
    screen.paint(layers.show(1, smaller));
    check(screen, [
      [2, other],
      [1, smaller],
    ]);
    screen.paint(layers.arrange([1]));
    check(screen, [[1, smaller]]);
    screen.paint(layers.show(1, null));
    check(screen, []);
  }
});

test("only what changes is drawn", () => {
  const axes = new Axes(SHAPE, [1, 2, 3]);
  const layers = new Layers(axes);
  assert.equal(layers.arrange([1]), null);
  const patch = layers.show(1, someMask([1, 1, 1], [2, 2, 2], 1));
  assert.deepEqual([patch?.first, patch?.size], [[1, 1, 1], [2, 2, 2]]);
  assert.equal(layers.arrange([1]), null);
  assert.equal(layers.show(2, null), null);
});
