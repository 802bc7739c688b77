import assert from "node:assert/strict";
import { test } from "node:test";
import { ANYTHING, readAddress, writeAddress } from "../src/address.ts";
import type { Result, Segmentation } from "../src/api/types.ts";
import { History, added } from "../src/state/history.ts";
import { cleanLabel, entriesOf, freshStructure, looseHeads, structuresAt } from "../src/state/structures.ts";

function made(id: string, parent: string | null, minute: number): Segmentation {
  const created = `2026-01-01T00:${String(minute).padStart(2, "0")}:00Z`;
  return { id, parent, created, points: [], box: null } as unknown as Segmentation;
}

function known(...all: Segmentation[]): History {
  const history = new History();
  for (const one of all) history.add(one);
  return history;
}

function kept(heads: string[], minute: number): Result {
  const entries = heads.map((segmentation, n) => ({
    segmentation,
    label: `Part ${n}`,
    colour: [n, n, n],
    code: { scheme: "SCT", value: "1", meaning: "x" },
    category: { scheme: "SCT", value: "2", meaning: "y" },
  }));
  return { changed: `2026-01-01T00:${minute}:00Z`, entries } as unknown as Result;
}

test("structures are where they are said to be, with what can be undone and redone", () => {
  const history = known(made("a", null, 1), made("b", "a", 2), made("c", "b", 3));
  const [structure] = structuresAt(["b"], kept(["b"], 30), history);
  assert.equal(structure.head, "b");
  assert.equal(structure.label, "Part 0");
  assert.deepEqual(structure.past, ["a"]);
  assert.deepEqual(structure.future, ["c"]);
});

test("structures that went on have the names that they had", () => {
  const history = known(made("a", null, 1), made("b", "a", 40), made("x", null, 2), made("y", null, 42));
  const found = structuresAt(["x", "b", "y"], kept(["a", "x"], 30), history);
  assert.deepEqual(found.map(({ head }) => head), ["x", "b", "y"]);
  assert.deepEqual(found.map(({ label }) => label), ["Part 1", "Part 0", "Structure 3"]);
  assert.deepEqual(found.map(({ number }) => number), [1, 2, 3]);
});

test("without a result the newest answer of each structure is offered", () => {
  const history = known(made("a", null, 1), made("b", "a", 2), made("x", null, 3));
  assert.deepEqual(looseHeads(history), ["b", "x"]);
});

test("a structure without a click is in no result", () => {
  const fresh = freshStructure([]);
  assert.deepEqual(entriesOf([fresh]), []);
  const other = { ...freshStructure([fresh]), head: "a" };
  assert.notEqual(other.number, fresh.number);
  assert.notEqual(other.label, fresh.label);
  assert.deepEqual(entriesOf([fresh, other]), [
    { segmentation: "a", label: other.label, colour: other.colour },
  ]);
});

test("a name is what DICOM can hold", () => {
  assert.equal(cleanLabel("  Lesion\\1\n "), "Lesion 1");
  assert.equal(cleanLabel("\\\t "), "");
  assert.equal(cleanLabel("x".repeat(70)).length, 64);
});

test("a click is what a segmentation has and its parent has not", () => {
  const point = (n: number): Segmentation["points"][number] => ({ position: [n, n, n], label: 1 });
  const parent = { ...made("a", null, 1), points: [point(1)], box: [[0, 0, 0], [1, 1, 1]] } as Segmentation;
  const child = { ...made("b", "a", 2), points: [point(1), point(2)], box: parent.box };
  assert.deepEqual(added(child, parent), { points: [point(2)], box: null });
  assert.deepEqual(added(child, undefined), { points: child.points, box: child.box });
});

test("an address is read as it was written", () => {
  for (const address of [
    { volume: "06dt2k", result: "07aa", changes: null },
    { volume: "06dt2k", result: "07aa", changes: { since: 3, heads: ["b", "y"] } },
    { volume: "06dt2k", result: null, changes: { since: 0, heads: [] } },
    { volume: "06dt2k", ...ANYTHING },
    { volume: null, ...ANYTHING },
  ]) {
    assert.deepEqual(readAddress(writeAddress(address)), address);
  }
});
