import assert from 'node:assert/strict';
import test from 'node:test';

import { empty, unpack } from '../packed.js';
import { paint, slicesWith } from '../painting.js';
import { pack } from './packed.test.js';

const SHAPE = [5, 4, 3];
const at = async (first, box, inside) => unpack(pack(SHAPE, first, box, inside));
const LINE = at([1, 1, 0], [3, 1, 2], [[0, 0, 0], [1, 0, 0], [2, 0, 0], [1, 0, 1]]);
const DOT = at([2, 1, 0], [1, 1, 1], [[0, 0, 0]]);

test('voxels go to their own pixels, and the later mask lies over the earlier', async () => {
  const layers = [
    { number: 1, mask: await LINE },
    { number: 2, mask: await DOT },
  ];
  const pixels = new Uint8Array(20).fill(9);
  paint(layers, 0, 5, pixels);
  assert.deepEqual([...pixels], [0, 0, 0, 0, 0, 0, 1, 2, 1, 0, ...new Array(10).fill(0)]);
  paint(layers.toReversed(), 0, 5, pixels);
  assert.equal(pixels[7], 1);
  paint(layers, 1, 5, pixels);
  assert.deepEqual(pixels.findIndex(Boolean), 7);
  paint(layers, 2, 5, pixels);
  assert.ok(pixels.every(pixel => pixel === 0));
});

test('slices with voxels are known', async () => {
  assert.deepEqual(slicesWith([await LINE, await DOT, empty(SHAPE)]), [0, 2]);
  assert.deepEqual(slicesWith([empty(SHAPE)]), [0, 0]);
});
