import assert from 'node:assert/strict';
import test from 'node:test';

import { Away, Refused, Service } from '../service.js';
import { pack } from './packed.test.js';

const MASK = Buffer.from(pack([4, 4, 4], [1, 1, 1], [1, 1, 1], [[0, 0, 0]])).toString('base64');
const problem = (code, status) =>
  new Response(JSON.stringify({ code, detail: `It is ${code}.`, status }), { status });

/** A service that is answered by what is given, one after the other. */
function answered(...answers) {
  const asked = [];
  const pauses = [];
  const send = async (url, request) => {
    asked.push({ url, ...request });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const authorization = () => ({ Authorization: 'Bearer token' });
  const pause = async seconds => pauses.push(seconds);
  return { asked, pauses, service: new Service({ root: 'http://here/', authorization, fetch: send, pause }) };
}

/** A body that comes in pieces, cut at awkward places. */
function streamed(text, size = 7) {
  const bytes = new TextEncoder().encode(text);
  const body = new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
  return new Response(body, { status: 201 });
}

const event = (name, data) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

test('every call carries the token, and is under the root', async () => {
  const { asked, service } = answered(
    Response.json({ experts: [] }),
    Response.json({ id: 'v' }),
    streamed(event('segmentation', { segmentation: { id: 's' }, mask: MASK }))
  );
  await service.capabilities();
  await service.open('1.2', '1.2.3');
  await service.click('v', {}, undefined, () => {});
  assert.deepEqual(asked.map(one => one.url), [
    'http://here/v1/capabilities',
    'http://here/v1/volumes',
    'http://here/v1/volumes/v/segmentations',
  ]);
  assert.ok(asked.every(one => one.headers.Authorization === 'Bearer token'));
  assert.deepEqual(JSON.parse(asked[1].body), { dicomweb: { study: '1.2', series: '1.2.3' } });
  assert.ok(asked[1].headers['Idempotency-Key']);
  assert.ok(!('Idempotency-Key' in asked[2].headers));
});

test('steps are told while the mask grows, then the answer', async () => {
  const { service } = answered(
    streamed(
      event('progress', { windows: 1, encodes: 1, mask: MASK }) +
        event('progress', { windows: 3, encodes: 2, mask: MASK }) +
        event('segmentation', { segmentation: { id: 'ü' }, mask: MASK })
    )
  );
  const windows = [];
  const { segmentation, mask } = await service.click('v', {}, undefined, step => windows.push(step.windows));
  assert.deepEqual(windows, [1, 3]);
  assert.deepEqual([segmentation.id, mask.count], ['ü', 1]);
});

test('a busy service is asked again under the same key, and no more than three times', async () => {
  const busy = () => new Response('{}', { status: 503, headers: { 'Retry-After': '2' } });
  const first = answered(busy(), Response.json({ id: 'v' }));
  assert.equal((await first.service.open('1', '2')).id, 'v');
  assert.deepEqual(first.pauses, [2]);
  const keys = first.asked.map(one => one.headers['Idempotency-Key']);
  assert.equal(keys[0], keys[1]);

  const second = answered(busy(), busy(), problem('engine_busy', 429));
  await assert.rejects(second.service.open('1', '2'), error => error.code === 'engine_busy' && error.isPassing);
  assert.equal(second.asked.length, 3);
});

test('refusals say why, and whether trying again helps', async () => {
  const refused = answered(problem('point_outside', 422));
  await assert.rejects(refused.service.click('v', {}, undefined, () => {}), error => {
    assert.ok(error instanceof Refused && !error.isPassing);
    assert.deepEqual([error.code, error.message], ['point_outside', 'It is point_outside.']);
    return true;
  });
  const inStream = answered(streamed(event('problem', { code: 'engine_unavailable', detail: 'Away.', status: 503 })));
  await assert.rejects(inStream.service.click('v', {}, undefined, () => {}), error => error.isPassing);
  const page = answered(new Response('<html>', { status: 502 }));
  await assert.rejects(page.service.capabilities(), error => error instanceof Refused && error.isPassing);
});

test('a service that is away, or breaks off, is away', async () => {
  const away = answered(new TypeError('fetch failed'));
  await assert.rejects(away.service.capabilities(), Away);
  const cut = answered(streamed('event: segmentation\ndata: {"mas'));
  await assert.rejects(cut.service.click('v', {}, undefined, () => {}), Away);
});

test('who stops a call hears that, and nothing of a server that is away', async () => {
  const stop = new AbortController();
  stop.abort(new DOMException('cancelled', 'AbortError'));
  const { service } = answered(new TypeError('aborted'));
  await assert.rejects(service.capabilities(stop.signal), { name: 'AbortError' });
});
