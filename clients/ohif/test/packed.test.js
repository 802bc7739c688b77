import assert from 'node:assert/strict';
import test from 'node:test';
import { deflateSync } from 'node:zlib';

import { empty, fromBase64, NotAMask, unpack } from '../packed.js';

/** A packed mask of a box, made as docs/api.md tells. */
export function pack(shape, first, box, inside) {
  const voxels = box[0] * box[1] * box[2];
  const bits = new Uint8Array(Math.ceil(voxels / 8));
  inside.forEach(([i, j, k]) => {
    const n = i + box[0] * (j + box[1] * k);
    bits[n >> 3] |= 1 << (n & 7);
  });
  const head = Buffer.alloc(52);
  head.write('SMSK', 0);
  head.writeUInt16LE(1, 4);
  [...shape, ...first, ...box].forEach((number, place) => head.writeUInt32LE(number, 8 + 4 * place));
  head.writeBigUInt64LE(BigInt(inside.length), 44);
  return new Uint8Array(Buffer.concat([head, deflateSync(bits)]));
}

const SHAPE = [30, 20, 10];
const BYTES = pack(SHAPE, [4, 5, 6], [3, 2, 2], [[0, 0, 0], [2, 1, 0], [1, 0, 1]]);

test('a mask is read as it was packed', async () => {
  const mask = await unpack(BYTES);
  assert.deepEqual(mask.shape, SHAPE);
  assert.deepEqual(mask.first, [4, 5, 6]);
  assert.deepEqual(mask.box, [3, 2, 2]);
  assert.equal(mask.count, 3);
  assert.deepEqual([...mask.bits], [0b10100001, 0]);
});

test('the bytes may lie anywhere in a buffer', async () => {
  const wide = new Uint8Array(BYTES.length + 7);
  wide.set(BYTES, 5);
  assert.equal((await unpack(wide.subarray(5, 5 + BYTES.length))).count, 3);
  assert.deepEqual(fromBase64(Buffer.from(BYTES).toString('base64')), BYTES);
});

test('an empty mask is a mask', async () => {
  const mask = await unpack(pack(SHAPE, [0, 0, 0], [0, 0, 0], []));
  assert.deepEqual(mask, empty(SHAPE));
});

const damages = {
  'another kind of file': bytes => bytes.fill(65, 0, 4),
  'a newer version': bytes => (bytes[4] = 2),
  'a box that leaves the volume': bytes => (bytes[20] = 29),
  'another number of voxels': bytes => (bytes[44] = 4),
  'a larger box than was sent': bytes => (bytes[40] = 4),
  'a broken stream': bytes => bytes.fill(0, 52),
  'a short file': bytes => bytes.subarray(0, 40),
  'a cut stream': bytes => bytes.subarray(0, bytes.length - 6),
};
for (const [name, damage] of Object.entries(damages)) {
  test(`nothing is shown of ${name}`, async () => {
    const bytes = BYTES.slice();
    const changed = damage(bytes);
    const given = changed instanceof Uint8Array ? changed : bytes;
    await assert.rejects(unpack(given), NotAMask);
  });
}
