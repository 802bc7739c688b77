import assert from "node:assert/strict";
import { test } from "node:test";
import { type ServerEvent, readEvents } from "../src/api/events.ts";

const TEXT = 'event: progress\ndata: {"mask": "ä"}\n\nevent: segmentation\ndata: one\ndata: two\n\n';

async function read(pieces: readonly Uint8Array[]): Promise<ServerEvent[]> {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
  const found: ServerEvent[] = [];
  for await (const event of readEvents(body)) found.push(event);
  return found;
}

test("events are the same however the bytes are cut", async () => {
  const bytes = new TextEncoder().encode(TEXT);
  const wanted = [
    { name: "progress", data: '{"mask": "ä"}' },
    { name: "segmentation", data: "one\ntwo" },
  ];
  assert.deepEqual(await read([bytes]), wanted);
  assert.deepEqual(await read([...bytes].map((byte) => Uint8Array.of(byte))), wanted);
  for (let cut = 1; cut < bytes.length; cut++) {
    assert.deepEqual(await read([bytes.subarray(0, cut), bytes.subarray(cut)]), wanted, `${cut}`);
  }
});

test("what breaks off is no event", async () => {
  const bytes = new TextEncoder().encode(TEXT.slice(0, -1));
  assert.equal((await read([bytes])).length, 1);
});
