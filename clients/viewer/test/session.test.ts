import assert from "node:assert/strict";
import { test } from "node:test";
import { NOTHING } from "../src/address.ts";
import { Away, Refused } from "../src/api/errors.ts";
import type { Point } from "../src/api/types.ts";
import { Session, type Watcher } from "../src/state/session.ts";
import { Answering, VOLUME, answered, kept } from "./service.ts";

class Seen implements Watcher {
  readonly told: string[] = [];
  readonly errors: unknown[] = [];
  retries: (() => void)[] = [];
  mask(): void {}
  changed(): void {}
  say(): void {}
  tell(text: string): void {
    this.told.push(text);
  }
  failed(error: unknown, retry: (() => void) | null): void {
    this.errors.push(error);
    if (retry !== null) this.retries.push(retry);
  }
}

const at = (n: number): Point[] => [{ position: [n, n, n], label: 1 }];

async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; !holds(); turn++) {
    assert.ok(turn < 5000, String(holds));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Until nothing is under way, and all that can be is kept. */
async function settled(session: Session): Promise<void> {
  await until(() => session.work === null);
  await session.keptResult();
}

async function begin(service = new Answering(), named: string | null = null) {
  const seen = new Seen();
  const session = new Session(service.client, VOLUME, named, seen);
  await session.restore();
  return { service, seen, session };
}

const asked = (service: Answering): number[] => service.asked.map(({ points }) => points[0].position[0]);

test("clicks that are made while the service is away are sent in their order when it is back", async () => {
  const { service, seen, session } = await begin();
  for (const n of [1, 2, 3]) {
    service.failures = [{ before: new Away() }];
    session.prompt(at(n), null);
    await until(() => seen.errors.length === n);
  }
  assert.equal(session.unanswered.length, 3);
  assert.ok(!session.isKept);
  assert.equal(new Set(seen.retries).size, 1, "each asks for the same");
  assert.equal(session.active.head, null);

  service.asked.length = 0;
  seen.retries[0]();
  await until(() => session.isKept);
  assert.deepEqual(asked(service), [1, 2, 3]);
  assert.deepEqual(service.asked.map(({ parent }) => parent), [null, "s1", "s2"]);
  assert.equal(session.active.head, "s3");
  assert.ok(session.isKept);
});

test("undo takes the last click back that waits, and then the answers", async () => {
  const { service, seen, session } = await begin();
  session.prompt(at(1), null);
  await until(() => session.isKept);
  service.failures = [{ before: new Away() }];
  session.prompt(at(2), null);
  session.prompt(at(3), null);
  await until(() => seen.errors.length === 1);
  session.undo();
  assert.deepEqual(session.unanswered.map(({ points }) => points), [at(2)]);
  session.undo();
  assert.deepEqual([session.unanswered.length, session.active.head], [0, "s1"]);
  session.undo();
  assert.equal(session.active.head, null);
  session.resume();
  await settled(session);
  assert.deepEqual(asked(service), [1, 2]);
});

test("a click that is refused is told and gone, and those behind it go on", async () => {
  const { service, seen, session } = await begin();
  service.failures = [{ before: new Refused(422, { code: "point_outside" }) }];
  session.prompt(at(1), null);
  session.prompt(at(2), null);
  await settled(session);
  assert.deepEqual(asked(service), [1, 2]);
  assert.equal(session.active.head, "s1");
  assert.equal(seen.errors.length, 1);
  assert.deepEqual(seen.retries, []);
});

test("undo while a click is being answered stops it alone, and nothing is left of it", async () => {
  const { service, session } = await begin();
  session.prompt(at(1), null);
  await settled(session);
  service.hold = new Promise(() => undefined);
  session.prompt(at(2), null);
  await until(() => service.asked.length === 2);
  session.undo();
  session.undo();
  await settled(session);
  assert.deepEqual([session.unanswered.length, session.active.head], [0, null]);
});

test("a new structure is another one, also while the first is being answered", async () => {
  const { service, session } = await begin();
  let release = (): void => undefined;
  service.hold = new Promise((resolve) => (release = resolve));
  session.prompt(at(1), null);
  session.addStructure();
  session.prompt(at(2), null);
  release();
  await settled(session);
  assert.deepEqual(service.asked.map(({ parent }) => parent), [null, null]);
  assert.deepEqual(session.structures.map(({ head }) => head), ["s1", "s2"]);
});

test("a click that is made before the kept structures are here changes none of them", async () => {
  const service = new Answering();
  service.segmentations = [answered("s1", {})];
  service.results.set("r", kept("r", [{ segmentation: "s1", label: "Structure 1" }], "overlap", 1));
  const session = new Session(service.client, VOLUME, null, new Seen());
  const restoring = session.restore();
  session.prompt(at(3), null);
  assert.equal(session.unanswered.length, 1);
  await restoring;
  await settled(session);
  assert.deepEqual(service.asked.map(({ parent }) => parent), [null]);
  assert.deepEqual(session.structures.map(({ head }) => head), ["s1", "s2"]);
  assert.deepEqual(session.structures.map(({ number }) => number), [1, 2]);
  assert.deepEqual(session.structures.map(({ label }) => label), ["Structure 1", "Structure 2"]);
  assert.equal(session.active, session.structures[1]);
});

test("until what was kept is here, the address says what it said", async () => {
  const service = new Answering();
  service.failures = [{ before: new Away() }];
  const session = new Session(service.client, VOLUME, "r7", new Seen());
  await assert.rejects(session.restore(), Away);
  assert.equal(session.resultName, "r7");
});

test("what was undone to nothing does not come back", async () => {
  const { service, session } = await begin();
  assert.equal(session.resultName, null);
  session.prompt(at(1), null);
  await settled(session);
  assert.equal(session.resultName, "r1");
  session.undo();
  await settled(session);
  assert.equal(service.results.size, 0);
  assert.equal(session.resultName, NOTHING);
  const later = (await begin(service, NOTHING)).session;
  assert.deepEqual(later.structures.map(({ head }) => head), [null]);
  assert.equal(later.resultName, NOTHING);
  // Nor where the answer to the removal was lost, so that the address still names the result.
  const gone = (await begin(service, "r1")).session;
  assert.deepEqual(gone.structures.map(({ head }) => head), [null]);
  // Who asks for the volume alone gets all that there is.
  const all = (await begin(service)).session;
  assert.deepEqual(all.structures.map(({ head }) => head), ["s1"]);
});

test("a structure that is removed takes its clicks along", async () => {
  const { service, seen, session } = await begin();
  service.failures = [{ before: new Away() }];
  session.prompt(at(1), null);
  await until(() => seen.errors.length === 1);
  session.remove(session.active);
  session.resume();
  await settled(session);
  assert.deepEqual(asked(service), [1]);
});
