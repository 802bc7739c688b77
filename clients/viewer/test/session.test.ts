import assert from "node:assert/strict";
import { test } from "node:test";
import { ANYTHING, type Found, NOTHING } from "../src/address.ts";
import { Away, Refused } from "../src/api/errors.ts";
import type { Ask, Point, Segmentation } from "../src/api/types.ts";
import { candidateText, candidatesOf } from "../src/state/candidates.ts";
import { Session, type Watcher } from "../src/state/session.ts";
import { Answering, VOLUME, answered, kept } from "./service.ts";

class Seen implements Watcher {
  readonly told: string[] = [];
  readonly errors: unknown[] = [];
  retries: (() => void)[] = [];
  offers: (() => void)[] = [];
  mask(): void {}
  changed(): void {}
  say(): void {}
  tell(text: string): void {
    this.told.push(text);
  }
  offer(text: string, [, act]: [string, () => void]): void {
    this.told.push(text);
    this.offers.push(act);
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

async function begin(service = new Answering(), named: Partial<Found> = {}) {
  const seen = new Seen();
  const session = new Session(service.client, VOLUME, { ...ANYTHING, ...named }, seen);
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
  const session = new Session(service.client, VOLUME, ANYTHING, new Seen());
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
  const named = { result: "r7", changes: { since: 2, heads: ["s1"] } };
  const session = new Session(service.client, VOLUME, named, new Seen());
  await assert.rejects(session.restore(), Away);
  assert.deepEqual(session.found, named);
});

const heads = (session: Session): (string | null)[] => session.structures.map(({ head }) => head);

test("what was undone to nothing does not come back", async () => {
  const { service, session } = await begin();
  assert.deepEqual(session.found, ANYTHING);
  session.prompt(at(1), null);
  await settled(session);
  assert.deepEqual(session.found, { result: "r1", changes: null });
  session.undo();
  await settled(session);
  assert.equal(service.results.size, 0);
  assert.deepEqual(session.found, { result: NOTHING, changes: null });
  const later = await begin(service, { result: NOTHING });
  assert.deepEqual(heads(later.session), [null]);
  assert.deepEqual(later.session.found, { result: NOTHING, changes: null });
  // Nor where the answer to the removal was lost, so that the address still names the result.
  const gone = await begin(service, { result: "r1" });
  assert.deepEqual(heads(gone.session), [null]);
  assert.deepEqual([later.seen.told, gone.seen.told], [[], []]);
});

test("who asks for a volume alone is offered what no result holds", async () => {
  const { service, session } = await begin();
  session.prompt(at(1), null);
  session.prompt(at(2), null);
  await settled(session);
  session.remove(session.active);
  await settled(session);
  const fresh = await begin(service);
  assert.deepEqual(heads(fresh.session), [null]);
  assert.equal(fresh.seen.told.length, 1);
  assert.deepEqual(fresh.session.found, ANYTHING, "a reload offers it again");
  fresh.seen.offers[0]();
  await until(() => fresh.session.active.head !== null);
  await settled(fresh.session);
  assert.deepEqual(heads(fresh.session), ["s2"]);
  assert.deepEqual([...service.results.values()].map(({ entries }) => entries[0].segmentation), ["s2"]);
});

test("what was answered and not kept yet is found by the address, and kept", async () => {
  const { service, seen, session } = await begin();
  const away = { before: new Away() };
  // A click is answered, and its save is not: of a new result, and of one that is there.
  service.failures = [null, away];
  session.prompt(at(1), null);
  await until(() => seen.errors.length === 1);
  assert.deepEqual(session.found, { result: null, changes: { since: 0, heads: ["s1"] } });
  assert.deepEqual(heads((await begin(service, session.found)).session), ["s1"]);
  await until(() => service.results.size === 1);

  const second = await begin(service);
  service.failures = [null, null, away];
  second.session.prompt(at(2), null);
  await until(() => second.seen.errors.length === 1);
  const { found } = second.session;
  assert.deepEqual(found, { result: "r1", changes: { since: 1, heads: ["s2"] } });
  const third = (await begin(service, found)).session;
  assert.deepEqual(heads(third), ["s2"]);
  await settled(third);
  assert.equal(service.results.get("r1")?.entries[0].segmentation, "s2");
  third.undo();
  await settled(third);
  assert.deepEqual(heads((await begin(service, found)).session), ["s1"], "by now the address is an old one");
});

test("an address writes over no result but the one that it names, and only what it says whole", async () => {
  const { service, session } = await begin();
  session.prompt(at(1), null);
  await settled(session);
  const entries = () => [...service.results.values()].map((result) => result.entries.length);
  const changes = { since: 1, heads: [] };
  for (const found of [
    { result: "gone", changes: { since: 1, heads: ["s1"] } },
    { result: "gone", changes },
    { result: "r1", changes: { since: 1, heads: ["s1", "never"] } },
  ]) {
    const later = (await begin(service, found)).session;
    await settled(later);
    assert.deepEqual(heads(later), ["s1"]);
    assert.deepEqual(entries(), [1]);
  }
  // All was removed, and that was not kept: so it is shown, and deleted once somebody does something.
  const later = (await begin(service, { result: "r1", changes })).session;
  assert.deepEqual(heads(later), [null]);
  assert.deepEqual(entries(), [1]);
});

test("an answer that was undone before it was kept does not come back", async () => {
  const { service, session } = await begin();
  session.prompt(at(1), null);
  await settled(session);
  const before = session.found;
  // The click on its way back is answered in the service, and nobody waits for it.
  service.segmentations.push(answered("s2", { parent: "s1" }));
  const later = (await begin(service, before)).session;
  assert.deepEqual(heads(later), ["s1"]);
  assert.deepEqual(later.active.future, ["s2"]);
});

test("sizes are of the mask that shows, and times of the answer that they were taken of", async () => {
  const { service, session } = await begin();
  session.prompt(at(1), null);
  await settled(session);
  Object.assign(session.history.get("s1") as object, { volume_ml: 5, route: { used: "liver", fused: true, top: "liver" } });
  assert.equal(session.timing?.id, "s1");
  assert.equal(session.millilitresOf(session.active), 5);
  await session.showCandidate("general");
  // The mask of the tests' service: all voxels, of 2 mm³ each.
  assert.equal(session.millilitresOf(session.active), (5 * 7 * 6 * 2) / 1000);
  assert.equal(session.millilitresOf({ ...session.active, head: null }), null);
  await settled(session);
  assert.equal([...service.results.values()][0].entries[0].candidate, "general");
});

test("the second expert comes first where it is likelier than none, else last; it can be kept", async () => {
  const { service, session } = await begin();
  session.prompt(at(1), null);
  await settled(session);
  const answer = session.history.get("s1") as Segmentation;
  const scores = { liver: 0.7, spleen: 0.4 };
  Object.assign(answer, { route: { used: "liver", fused: true, top: "liver", s_top: 0.7, rival: "spleen", scores } });
  assert.deepEqual(candidatesOf(answer), ["fused", "rival", "general", "expert"]);
  assert.equal(candidateText("rival", answer), "second expert spleen");
  await session.nextCandidate();
  assert.equal(session.active.candidate, "rival");
  session.keepCandidate();
  await settled(session);
  assert.equal(service.asked.at(-1)?.expert, "spleen");
  const sure = { ...answer.route, scores: { liver: 0.7, spleen: 0.2 } };
  assert.deepEqual(candidatesOf({ ...answer, route: sure }), ["fused", "general", "expert", "rival"]);
  const none = { ...answer.route, used: "general" };
  assert.deepEqual(candidatesOf({ ...answer, route: none }), ["fused", "expert", "rival"]);
});

test("what refined another mask than the answer is asked again of that mask", async () => {
  const { service, session } = await begin();
  session.prompt(at(1), null);
  await settled(session);
  await session.showCandidate("general");
  session.prompt(at(2), null);
  await settled(session);
  assert.equal(service.asked.at(-1)?.candidate, "general");
  Object.assign(session.history.get("s2") as object, { refined: "general", points: [...at(1), ...at(2)] });
  session.askAgain("liver");
  await settled(session);
  const { parent, candidate, expert } = service.asked.at(-1) as Ask;
  assert.deepEqual({ parent, candidate, expert }, { parent: "s1", candidate: "general", expert: "liver" });
  session.undo();
  session.undo();
  session.askAgain("liver");
  await settled(session);
  assert.equal(service.asked.at(-1)?.parent, null);
  assert.equal(service.asked.at(-1)?.candidate, "fused");
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
