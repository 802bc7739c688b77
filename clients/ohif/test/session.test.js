import assert from 'node:assert/strict';
import test from 'node:test';

import { Away, Refused } from '../service.js';
import { Session } from '../session.js';

const VOLUME = { id: 'v', shape: [10, 10, 10], spacing: [1, 1, 1] };
const SERIES = { study: '1.2', series: '1.2.3' };
const INSIDE = { position: [1, 2, 3], label: 1 };
const OUTSIDE = { position: [4, 5, 6], label: 0 };
const BOX = { box: [[1, 1, 1], [3, 3, 1]] };

/** A service that answers what it is told to, and remembers what it was asked. */
class Answering {
  asked = [];
  hold = null;
  failures = [];
  route = { used: 'general', fused: false };

  async open(study, series) {
    this.asked.push(['open', study, series]);
    await this.#turn();
    return VOLUME;
  }

  async prepare() {}

  async click(volume, body, signal, grown) {
    this.asked.push(['click', body]);
    const id = `s${this.asked.filter(([what]) => what === 'click').length}`;
    grown({ windows: 2, encodes: 1, mask: maskOf(1) });
    await this.#turn(signal);
    return { segmentation: { id, route: this.route }, mask: maskOf(id.length + Number(id.slice(1))) };
  }

  async candidate(id, candidate) {
    this.asked.push(['candidate', id, candidate]);
    await this.#turn();
    return maskOf(7);
  }

  async keep(volume, result, body) {
    this.asked.push(['keep', result, body]);
    await this.#turn();
    return { id: 'r', revision: result ? 2 : 1 };
  }

  async store(result, forms) {
    this.asked.push(['store', result, forms]);
    return { items: [] };
  }

  of(what) {
    return this.asked.filter(([name]) => name === what).map(([, ...rest]) => rest);
  }

  async #turn(signal) {
    await new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason));
      (this.hold ?? Promise.resolve()).then(resolve);
    });
    const failure = this.failures.shift();
    if (failure) throw failure;
  }
}

const maskOf = count => ({ shape: VOLUME.shape, first: [0, 0, 0], box: [1, 1, count], count, bits: new Uint8Array([255, 3]) });

function begin() {
  const service = new Answering();
  const session = new Session(service, SERIES);
  session.experts = ['spleen'];
  return { service, session };
}

test('the first click gets the volume, and is not lost meanwhile', async () => {
  const { service, session } = begin();
  const opening = session.open();
  assert.equal(session.work.what, 'opening');
  await Promise.all([opening, session.open(), session.prompt(INSIDE)]);
  assert.deepEqual(service.of('open'), [['1.2', '1.2.3']]);
  assert.deepEqual(service.of('click'), [[{ space: 'voxel', points: [INSIDE], expert: 'auto' }]]);
  assert.equal(session.step.segmentation.id, 's1');
  assert.equal(session.work.what, 'idle');
});

test('a click during opening is for the structure of its moment, wherever it turns out to be', async () => {
  const { service, session } = begin();
  let release;
  service.hold = new Promise(resolve => (release = resolve));
  const opening = session.open();
  const clicks = [session.prompt(volume => ({ position: volume.shape, label: 1 })), session.prompt(() => null)];
  session.add();
  clicks.push(session.prompt(INSIDE));
  assert.equal(session.waiting.length, 3);
  assert.deepEqual(session.promptsOf(session.structures[0]), []);
  release();
  await Promise.all([opening, ...clicks]);
  const bodies = service.of('click').map(([body]) => body);
  assert.deepEqual(bodies.map(body => body.points), [[{ position: [10, 10, 10], label: 1 }], [INSIDE]]);
  assert.deepEqual(session.structures.map(one => one.steps.length), [1, 1]);
});

test('clicks wait for a volume that can not be had yet, and are gone with one that is refused', async () => {
  const { service, session } = begin();
  service.failures = [new Away()];
  await session.prompt(INSIDE);
  assert.deepEqual([session.problem.code, session.waiting.length], ['away', 1]);
  await session.problem.retry();
  assert.deepEqual(service.of('click').map(([body]) => body.points), [[INSIDE]]);

  const other = begin();
  other.service.failures = [new Refused({ code: 'dicom_refused', status: 422 }, 422)];
  await other.session.prompt(INSIDE);
  assert.deepEqual([other.session.problem.code, other.session.waiting], ['dicom_refused', []]);
});

test('undo takes the last click back that waits', async () => {
  const { service, session } = begin();
  service.failures = [null, new Away()];
  await session.prompt(INSIDE);
  service.failures = [new Away()];
  await session.prompt(OUTSIDE);
  session.undo();
  assert.deepEqual(session.waiting.map(({ prompt }) => prompt), [INSIDE]);
  session.undo();
  assert.ok(!session.canUndo);
  assert.deepEqual(session.waiting, []);
});

test('what is drawn is unsaved until the PACS has it as it is', async () => {
  const { service, session } = begin();
  assert.ok(!session.isUnsaved);
  service.failures = [null, new Away()];
  await session.prompt(INSIDE);
  assert.ok(session.isUnsaved, 'a click waits');
  await session.problem.retry();
  assert.ok(session.isUnsaved);
  await session.save();
  assert.ok(!session.isUnsaved);
  session.add();
  session.rename('Liver', session.structures[0]);
  assert.deepEqual(session.structures.map(({ label }) => label), ['Liver', 'Structure 2']);
  assert.ok(session.isUnsaved);
});

test('a refinement names what it refines, and clicks that came meanwhile go together', async () => {
  const { service, session } = begin();
  let release;
  service.hold = new Promise(resolve => (release = resolve));
  const first = session.prompt(INSIDE);
  release();
  await first;
  service.hold = new Promise(resolve => (release = resolve));
  const going = session.prompt(OUTSIDE);
  await session.prompt(INSIDE);
  await session.prompt(BOX);
  assert.equal(session.promptsOf(session.structure).length, 3);
  release();
  await going;
  const [, second, third] = service.of('click').map(([body]) => body);
  assert.deepEqual([second.parent, second.candidate, second.points], ['s1', 'fused', [OUTSIDE]]);
  assert.deepEqual([third.parent, third.points, third.box], ['s2', [INSIDE], BOX.box]);
  assert.deepEqual(session.step.prompts, [INSIDE, OUTSIDE, INSIDE, BOX]);
});

test('undo and redo go along the answers, and a new click forgets what was undone', async () => {
  const { service, session } = begin();
  await session.prompt(INSIDE);
  await session.prompt(OUTSIDE);
  session.undo();
  assert.equal(session.step.segmentation.id, 's1');
  session.undo();
  assert.equal(session.step, null);
  assert.equal(session.maskOf(session.structure).count, 0);
  assert.ok(!session.canUndo);
  session.undo();
  session.redo();
  assert.equal(session.step.segmentation.id, 's1');
  await session.prompt(OUTSIDE);
  assert.ok(!session.canRedo);
  assert.equal(service.of('click')[2][0].parent, 's1');
});

test('candidates are fetched once, shown in turn, and refined as they show', async () => {
  const { service, session } = begin();
  service.route = { used: 'spleen', fused: true };
  await session.prompt(INSIDE);
  assert.deepEqual(session.candidates, ['fused', 'general', 'expert']);
  await session.nextCandidate();
  assert.equal(session.maskOf(session.structure).count, 7);
  for (let turn = 0; turn < 3; turn += 1) await session.nextCandidate();
  assert.equal(session.step.candidate, 'general');
  assert.deepEqual(service.of('candidate'), [['s1', 'general'], ['s1', 'expert']]);
  await session.prompt(OUTSIDE);
  assert.equal(service.of('click')[1][0].candidate, 'general');
});

test('only masks that differ are candidates', async () => {
  const { service, session } = begin();
  await session.prompt(INSIDE);
  assert.deepEqual(session.candidates, ['fused', 'expert']);
  session.experts = [];
  assert.deepEqual(session.candidates, ['fused']);
  await session.nextCandidate();
  assert.deepEqual(service.of('candidate'), []);
  service.route = { used: 'spleen', fused: false };
  await session.prompt(INSIDE);
  assert.deepEqual(session.candidates, ['fused', 'general']);
});

test('the second expert comes first where it is likelier than none, else last', async () => {
  const { service, session } = begin();
  service.route = { used: 'spleen', fused: true, s_top: 0.7, rival: 'liver', scores: { spleen: 0.7, liver: 0.4 } };
  await session.prompt(INSIDE);
  assert.deepEqual(session.candidates, ['fused', 'rival', 'general', 'expert']);
  service.route = { ...service.route, scores: { spleen: 0.7, liver: 0.2 } };
  await session.prompt(INSIDE);
  assert.deepEqual(session.candidates, ['fused', 'general', 'expert', 'rival']);
  service.route = { ...service.route, used: 'general', fused: false, scores: { spleen: 0.7, liver: 0.4 } };
  await session.prompt(INSIDE);
  assert.deepEqual(session.candidates, ['fused', 'expert', 'rival']);
});

test('what may go well a moment later waits for another try; what is refused is told and gone', async () => {
  const { service, session } = begin();
  await session.prompt(INSIDE);
  service.failures = [new Away()];
  await session.prompt(OUTSIDE);
  assert.equal(session.problem.code, 'away');
  assert.equal(session.step.segmentation.id, 's1');
  assert.equal(session.maskOf(session.structure).count, 3);
  await session.problem.retry();
  assert.equal(session.problem, null);
  assert.deepEqual(service.of('click').at(-1)[0].points, [OUTSIDE]);

  service.failures = [new Refused({ code: 'point_outside', detail: 'There is nothing.', status: 422 }, 422)];
  await session.prompt(INSIDE);
  assert.deepEqual([session.problem.code, session.problem.message], ['point_outside', 'There is nothing.']);
  assert.equal(session.problem.retry, null);
  assert.deepEqual(session.waiting, []);
});

test('a click after a failure takes the earlier one with it', async () => {
  const { service, session } = begin();
  service.failures = [null, new Away()];
  await session.prompt(INSIDE);
  assert.equal(session.waiting.length, 1);
  await session.prompt(OUTSIDE);
  assert.deepEqual(service.of('click').at(-1)[0].points, [INSIDE, OUTSIDE]);
});

test('undo stops what is under way, and nothing is left of it', async () => {
  const { service, session } = begin();
  await session.prompt(INSIDE);
  service.hold = new Promise(() => {});
  const going = session.prompt(OUTSIDE);
  await new Promise(setImmediate);
  assert.equal(session.work.windows, 2);
  assert.equal(session.maskOf(session.structure).count, 1);
  session.undo();
  await going;
  assert.equal(session.step.segmentation.id, 's1');
  assert.deepEqual([session.problem, session.structure.growing, session.waiting], [null, null, []]);
});

test('each structure has its own line, and all drawn ones are saved in order as they show', async () => {
  const { service, session } = begin();
  await session.prompt(INSIDE);
  session.rename(' Spleen ');
  session.add();
  session.ask('general');
  await session.prompt(INSIDE);
  await session.nextCandidate();
  session.add();
  await session.save();
  const [result, body] = service.of('keep')[0];
  assert.equal(result, null);
  assert.equal(body.merge, 'overwrite');
  assert.deepEqual(body.entries, [
    {
      segmentation: 's1',
      candidate: 'fused',
      label: 'Spleen',
      colour: [230, 85, 80],
      code: { value: '78961009', meaning: 'Spleen' },
    },
    { segmentation: 's2', candidate: 'expert', label: 'Structure 2', colour: [70, 150, 230] },
  ]);
  assert.deepEqual(service.of('store'), [['r', ['labelmap']]]);
  assert.equal(service.of('click')[1][0].expert, 'general');
  assert.ok(session.saved);
  session.activate(session.structures[0]);
  session.undo();
  assert.equal(session.saved, null);
  session.redo();
  await session.save();
  assert.equal(service.of('keep')[1][0], 'r');
});

test('a SEG is saved in the kind that OHIF reads right', async () => {
  const { session } = begin();
  for (const [shape, form] of [[[512, 512, 9], 'seg'], [[197, 233, 40], 'labelmap'], [[100, 90, 9], 'seg'], [[30, 30, 9], 'labelmap']]) {
    session.volume = { ...VOLUME, shape };
    assert.equal(session.form, form);
  }
});

test('what changed is told after every change', async () => {
  const service = new Answering();
  let told = 0;
  const session = new Session(service, SERIES, () => (told += 1));
  assert.equal(told, 0);
  await session.prompt(INSIDE);
  assert.ok(told >= 4);
});
