import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Client } from "../src/api/client.ts";
import { Away, Refused, isPassing } from "../src/api/errors.ts";

Object.assign(globalThis, { sessionStorage: { getItem: () => null } });

function answering(context: TestContext, answer: Response): Request[] {
  const asked: Request[] = [];
  context.mock.method(globalThis, "fetch", async (url: URL, init: RequestInit) => {
    asked.push(new Request(url, init));
    return answer;
  });
  return asked;
}

const client = new Client(new URL("http://localhost/"));

test("a result goes with its key", async (context) => {
  const asked = answering(context, Response.json({ id: "r" }));
  await client.addResult("v", [], "overlap", "a-key");
  assert.equal(asked[0].headers.get("Idempotency-Key"), "a-key");
  assert.equal(asked[0].headers.get("Content-Type"), "application/json");
});

test("a scan goes with its key, as files and from the PACS", async (context) => {
  const headers = new Map<string, string>();
  class Sending {
    upload = {};
    status = 201;
    responseText = '{"id": "v"}';
    onload = (): void => undefined;
    open(): void {}
    setRequestHeader(name: string, value: string): void {
      headers.set(name, value);
    }
    send(): void {
      this.onload();
    }
  }
  Object.assign(globalThis, { XMLHttpRequest: Sending });
  const { signal } = new AbortController();
  await client.add([new Blob(["scan"])], "a-key", () => undefined, signal);
  assert.equal(headers.get("Idempotency-Key"), "a-key");
  const asked = answering(context, Response.json({ id: "v" }));
  await client.pull({ server: "main", study: "1", series: "2" }, "b-key", signal);
  assert.equal(asked[0].headers.get("Idempotency-Key"), "b-key");
});

test("an answer that breaks off is none", async (context) => {
  answering(context, new Response('{"id": "r'));
  await assert.rejects(client.result("r"), Away);
});

test("what a proxy says of a service that is not there is no refusal", async (context) => {
  const page = { status: 502, headers: { "Content-Type": "text/html" } };
  answering(context, new Response("<h1>Bad gateway</h1>", page));
  await assert.rejects(client.result("r"), Away);
});

test("what the service says of a PACS is one", async (context) => {
  const problem = { status: 502, headers: { "Content-Type": "application/problem+json" } };
  answering(context, new Response('{"code": "pacs_error", "detail": "It broke off."}', problem));
  await assert.rejects(client.search("studies", new AbortController().signal), {
    code: "pacs_error",
    message: "It broke off.",
  });
});

test("what may go well later is told from what is refused for good", () => {
  for (const status of [401, 429, 500, 503, 507]) assert.ok(isPassing(new Refused(status, {})), `${status}`);
  for (const status of [400, 403, 404, 409, 413, 422]) assert.ok(!isPassing(new Refused(status, {})), `${status}`);
  assert.ok(isPassing(new Away()));
  assert.ok(!isPassing(new DOMException("cancelled", "AbortError")));
});
