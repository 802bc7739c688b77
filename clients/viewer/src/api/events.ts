/** Server-sent events out of the body of an answer to a POST, which EventSource can not read. */

export interface ServerEvent {
  name: string;
  data: string;
}

/** Events as they come. Only what this service sends: `event`, one or more `data`, a blank line. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let pieces: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const text = decoder.decode(value, { stream: true });
      // A large event comes in many pieces: they are joined once, when its end is there.
      const seam = (pieces.at(-1) ?? "").slice(-1) + text;
      pieces.push(text);
      if (!seam.includes("\n\n")) continue;
      const blocks = pieces.join("").split("\n\n");
      pieces = [blocks.pop() ?? ""];
      for (const block of blocks) yield parse(block);
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

function parse(block: string): ServerEvent {
  let name = "message";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return { name, data: data.join("\n") };
}
