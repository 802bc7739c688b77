import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";
import type { Triple } from "../src/api/types.ts";
import { NoMask, has, unpack } from "../src/mask/packed.ts";

const FOLDER = new URL("data/", import.meta.url);

/** Written by the service's own code: tests/unit/viewer/test_packed_fixtures.py holds them to it. */
async function fixtures(): Promise<[Uint8Array, { shape: Triple; voxels: Triple[] }][]> {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith(".sammoe")).sort();
  return Promise.all(
    names.map(async (name) => {
      const told = await readFile(new URL(name.replace(".sammoe", ".json"), FOLDER), "utf8");
      return [new Uint8Array(await readFile(new URL(name, FOLDER))), JSON.parse(told)];
    }),
  );
}

test("what the service packs is unpacked to the same voxels", async () => {
  const all = await fixtures();
  assert.ok(all.length >= 4);
  for (const [packed, told] of all) {
    const mask = await unpack(packed);
    assert.deepEqual(mask.shape, told.shape);
    assert.equal(mask.count, told.voxels.length);
    const inside = new Set(told.voxels.map(String));
    const [a, b, c] = told.shape;
    for (let i = 0; i < a; i++)
      for (let j = 0; j < b; j++)
        for (let k = 0; k < c; k++)
          assert.equal(has(mask, [i, j, k]), inside.has(String([i, j, k])), `${[i, j, k]}`);
  }
});

test("a mask within a longer buffer is read where it begins", async () => {
  const [[packed]] = await fixtures();
  const longer = new Uint8Array(packed.length + 7);
  longer.set(packed, 7);
  const mask = await unpack(longer.subarray(7));
  assert.deepEqual(mask, await unpack(packed));
});

test("damaged masks are refused", async () => {
  const packed = ((await fixtures()).at(-1) as [Uint8Array, unknown])[0];
  const changed = (at: number, value: number): Uint8Array => {
    const copy = packed.slice();
    copy[at] = value;
    return copy;
  };
  const damaged = [
    new Uint8Array(0),
    packed.subarray(0, 40),
    packed.subarray(0, packed.length - 3),
    changed(0, 0),
    changed(4, 2),
    changed(8, 1),
    changed(44, packed[44] + 1),
    changed(32, packed[32] + 1),
    changed(52, 0),
  ];
  for (const [n, data] of damaged.entries()) await assert.rejects(unpack(data), NoMask, `${n}`);
});
