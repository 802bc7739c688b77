import assert from "node:assert/strict";
import { test } from "node:test";
import { Away } from "../src/api/errors.ts";
import type { Entry } from "../src/api/types.ts";
import { Keeper } from "../src/state/keeper.ts";
import { Answering } from "./service.ts";

const entry = (label: string): Entry => ({ segmentation: "s1", label, colour: [1, 2, 3] });

function begin() {
  const service = new Answering();
  const told: string[] = [];
  const failed: unknown[] = [];
  let entries: Entry[] = [];
  const keeper = new Keeper(service.client, "v", () => ({ entries, merge: "overlap" }), {
    changed: () => undefined,
    tell: (text) => told.push(text),
    failed: (error) => failed.push(error),
  });
  const keep = async (...wanted: Entry[]): Promise<void> => {
    entries = wanted;
    keeper.keep();
    await keeper.done();
  };
  return { service, told, failed, keeper, keep };
}

test("a new result whose answer was lost is the same one when it is sent again", async () => {
  const { service, failed, keeper, keep } = begin();
  service.failures = [{ after: new Away() }];
  await keep(entry("A"));
  assert.equal(failed.length, 1);
  assert.ok(!keeper.isDone);
  // What is wanted meanwhile is another thing.
  await keep(entry("B"));
  assert.equal(service.results.size, 1);
  assert.equal(new Set(service.keys).size, 1);
  assert.deepEqual(service.results.get("r1")?.entries.map(({ label }) => label), ["B"]);
  assert.equal(keeper.result?.revision, 2);
  assert.ok(keeper.isDone);
});

test("a change whose answer was lost does not make the result somebody else's", async () => {
  const { service, told, keeper, keep } = begin();
  await keep(entry("A"));
  service.failures = [null, { after: new Away() }];
  await keep(entry("B"));
  await keep(entry("C"));
  assert.deepEqual(told, []);
  assert.equal(service.results.size, 1);
  assert.equal(service.results.get("r1")?.entries[0].label, "C");
  assert.equal(keeper.result?.revision, 3);
});

test("nor does one that never arrived", async () => {
  const { service, told, keep } = begin();
  await keep(entry("A"));
  service.failures = [null, { before: new Away() }];
  await keep(entry("B"));
  await keep(entry("C"));
  assert.deepEqual(told, []);
  assert.equal(service.results.size, 1);
  assert.equal(service.results.get("r1")?.revision, 2);
});

test("what somebody else put into a result is not written over", async () => {
  const { service, told, keep } = begin();
  await keep(entry("A"));
  service.failures = [null, { before: new Away() }];
  await keep(entry("B"));
  await service.client.replaceResult("r1", [entry("theirs")], "overlap");
  await keep(entry("C"));
  assert.equal(told.length, 1);
  assert.equal(service.results.get("r1")?.entries[0].label, "theirs");
  assert.equal(service.results.get("r2")?.entries[0].label, "C");
});

test("a removal whose answer was lost is done when it is asked for again", async () => {
  const { service, failed, keeper, keep } = begin();
  await keep(entry("A"));
  service.failures = [{ after: new Away() }];
  await keep();
  assert.equal(failed.length, 1);
  await keep();
  assert.equal(failed.length, 1);
  assert.equal(keeper.result, null);
  assert.ok(keeper.isDone);
});
