import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "../src/api/client.ts";
import { Away } from "../src/api/errors.ts";
import type { Volume } from "../src/api/types.ts";
import type { Notices } from "../src/panels/notices.ts";
import { Scans } from "../src/scans.ts";
import { Answering, VOLUME } from "./service.ts";

/** As many of the browser's objects as the address needs. */
const location = { hash: "" };
const history = {
  pushState: (_: unknown, __: string, hash: string) => void (location.hash = hash),
  replaceState: (_: unknown, __: string, hash: string) => void (location.hash = hash),
};
Object.assign(globalThis, { location, history, document: { title: "" } });

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

function begin() {
  const seen = { displayed: [] as string[], opened: [] as string[], told: [] as string[], retries: [] as (() => void)[] };
  const gates = new Map<string, () => void>();
  let displaying = 0;
  const service = new Answering();
  const client = {
    ...service.client,
    volume: async (id: string) => ({ ...VOLUME, id }),
    // Fetched when the gate of the scan is opened.
    voxels: (id: string, _: unknown, signal: AbortSignal) =>
      new Promise((resolve, reject) => {
        gates.set(id, () => resolve(new ArrayBuffer(1)));
        signal.addEventListener("abort", () => reject(signal.reason));
      }),
  } as unknown as Client;
  const notices = {
    tell: (text: string) => seen.told.push(text),
    say: () => undefined,
    fail: (_: unknown, retry: () => void) => seen.retries.push(retry),
  } as unknown as Notices;
  const scans = new Scans(client, notices, {
    load: async (_: ArrayBuffer, { id }: Volume) => {
      assert.equal(displaying++, 0, "one by one");
      await new Promise<void>((resolve) => gates.set(`display ${id}`, resolve));
      displaying--;
      seen.displayed.push(id);
    },
    loading: () => undefined,
    opened: ({ volume }) => seen.opened.push(volume.id),
    watcher: () => ({
      mask: () => undefined,
      changed: () => undefined,
      say: () => undefined,
      tell: () => undefined,
      offer: () => undefined,
      failed: () => undefined,
    }),
    offer: () => undefined,
  });
  const pass = async (...names: string[]): Promise<void> => {
    for (const name of names) {
      await turn();
      gates.get(name)?.();
    }
    await turn();
  };
  return { service, client, scans, seen, pass };
}

test("of scans that are opened quickly the last is shown", async () => {
  const { scans, seen, pass } = begin();
  scans.open("a");
  await pass();
  scans.open("b");
  await pass("a", "b", "display b");
  assert.deepEqual([seen.displayed, seen.opened], [["b"], ["b"]]);
  assert.equal(scans.session?.volume.id, "b");
});

test("a scan that is half in the display is followed by the one that was opened meanwhile", async () => {
  const { scans, seen, pass } = begin();
  scans.open("a");
  await pass("a");
  scans.open("b");
  await pass("b");
  await pass("display a", "display b");
  assert.deepEqual([seen.displayed, seen.opened], [["a", "b"], ["b"]]);
  assert.equal(scans.session?.volume.id, "b");
});

test("to cancel keeps the scan that is shown, and one that is half in the display", async () => {
  const { scans, seen, pass } = begin();
  scans.open("a");
  await pass("a");
  scans.cancel();
  await pass("display a");
  assert.equal(scans.session?.volume.id, "a");
  scans.open("b");
  await pass();
  scans.cancel();
  await pass("b");
  assert.equal(scans.session?.volume.id, "a");
  assert.deepEqual(seen.opened, ["a"]);
});

test("clicks that are dropped with their scan are told of", async () => {
  const { service, scans, seen, pass } = begin();
  scans.open("a");
  await pass("a", "display a");
  service.hold = new Promise(() => undefined);
  scans.session?.prompt([{ position: [1, 1, 1], label: 1 }], null);
  scans.session?.prompt([{ position: [2, 2, 2], label: 1 }], null);
  scans.open("b");
  await pass("b", "display b");
  assert.deepEqual(seen.told, ["2 clicks on the scan before were dropped."]);
});

test("what can not be had is tried again, unless something else is wanted by then", async () => {
  const { client, scans, seen, pass } = begin();
  const { volume } = client;
  client.volume = () => Promise.reject(new Away());
  scans.open("a");
  await pass();
  scans.open("b");
  await pass();
  client.volume = volume;
  for (const retry of seen.retries) retry();
  await pass("a", "b", "display b");
  assert.deepEqual(seen.opened, ["b"]);
});

test("a scan that is opened again is as it was left", async () => {
  const { scans, pass } = begin();
  scans.open("a");
  await pass("a", "display a");
  const { session } = scans;
  session?.prompt([{ position: [1, 1, 1], label: 1 }], null);
  while (session?.isKept === false) await turn();
  session?.undo();
  await session?.keptResult();
  scans.update();
  assert.equal(location.hash, "#volume=a&result=none");
  scans.open("b");
  await pass("b", "display b");
  assert.equal(location.hash, "#volume=b");
  scans.open("a");
  assert.equal(location.hash, "#volume=a&result=none");
});
