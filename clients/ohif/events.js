/** Server-sent events of an answer's body, one after the other: {name, data}. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        yield read(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function read(block) {
  const fields = block.split('\n').map(line => line.match(/^(\w+): ?(.*)$/) ?? [null, '', '']);
  const of = name => fields.filter(field => field[1] === name).map(field => field[2]).join('\n');
  return { name: of('event'), data: JSON.parse(of('data')) };
}
