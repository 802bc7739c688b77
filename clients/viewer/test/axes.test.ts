import assert from "node:assert/strict";
import { test } from "node:test";
import type { Triple } from "../src/api/types.ts";
import { Axes, common, isEmpty, middleOf, union, voxelAt } from "../src/space/axes.ts";
import { permutations } from "./permutations.ts";

const SHAPE: Triple = [3, 4, 5];

test("there and back again is the same voxel, in all 48 orientations", () => {
  for (const permutation of permutations()) {
    const axes = new Axes(SHAPE, permutation);
    const seen = new Set<string>();
    for (let i = 0; i < 3; i++)
      for (let j = 0; j < 4; j++)
        for (let k = 0; k < 5; k++) {
          const place = axes.toDisplay([i, j, k]);
          assert.ok(place.every((n, r) => n >= 0 && n < axes.display[r]));
          assert.deepEqual(axes.toVoxel(place), [i, j, k]);
          seen.add(String(place));
        }
    assert.equal(seen.size, 60);
  }
});

test("an axis that is turned round runs from the other end", () => {
  // As of a DICOM series, LPS: the display's x runs against i, its y against j.
  const axes = new Axes(SHAPE, [-1, -2, 3]);
  assert.deepEqual(axes.toDisplay([0, 0, 0]), [2, 3, 0]);
  assert.deepEqual(axes.toVoxel([2, 3, 4]), [0, 0, 4]);
});

test("a click in the middle of a voxel is that voxel, and one beyond the edge the nearest", () => {
  for (let x = 0; x < 3; x++)
    for (let z = 0; z < 5; z++) {
      assert.deepEqual(voxelAt(middleOf([x, 1, z], SHAPE), SHAPE), [x, 1, z]);
    }
  assert.deepEqual(voxelAt([0, 0.2499, 0.999], SHAPE), [0, 0, 4]);
  assert.deepEqual(voxelAt([-0.1, 1, 1.2], SHAPE), [0, 3, 4]);
});

test("spans join and meet", () => {
  const one = { first: [1, 1, 1] as Triple, size: [2, 2, 2] as Triple };
  const other = { first: [2, 0, 4] as Triple, size: [3, 2, 1] as Triple };
  assert.deepEqual(union(one, other), { first: [1, 0, 1], size: [4, 3, 4] });
  assert.deepEqual(common(one, { first: [2, 2, 0], size: [5, 5, 5] }), { first: [2, 2, 1], size: [1, 1, 2] });
  assert.ok(isEmpty(common(one, other)));
  assert.deepEqual(union(null, one), one);
  assert.equal(union(null, null), null);
  assert.deepEqual(union({ first: [9, 9, 9], size: [0, 0, 0] }, one), one);
});
