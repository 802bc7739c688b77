/**
 * The service's REST API, as far as the extension needs it. Each call carries what the viewer's
 * sign-in gives; a busy or absent server is asked again a few times, as long as nothing is done twice.
 */

import { events } from './events.js';
import { fromBase64, unpack } from './packed.js';

const PACKED = 'application/vnd.sammoe.mask';
const BUSY = [429, 503];
const TRIES = 3;
const PAUSE_SECONDS = 1;
const LONGEST_PAUSE_SECONDS = 10;

/** A refusal of the service: `code` is stable, the message is for people. */
export class Refused extends Error {
  constructor(problem, status) {
    super(problem.detail || problem.title || `The service answered ${status}.`);
    this.code = problem.code ?? 'unknown';
    this.status = problem.status ?? status;
  }

  /** Whether the same may go well a moment later. */
  get isPassing() {
    return this.status >= 500 || this.status === 429;
  }
}

/** The service can not be reached, or broke off. */
export class Away extends Error {
  constructor() {
    super('The service can not be reached.');
    this.code = 'away';
    this.isPassing = true;
  }
}

/** Calls of the service. */
export class Service {
  /**
   * @param {object} options
   * @param {string} [options.root] where `/v1` is; default: this page's origin
   * @param {() => Record<string, string> | undefined} [options.authorization] headers of the viewer's
   *   sign-in, asked for at each call since tokens are renewed
   * @param {typeof fetch} [options.fetch]
   * @param {(seconds: number, signal?: AbortSignal) => Promise<void>} [options.pause]
   */
  constructor({ root = '', authorization = () => undefined, fetch: send, pause = sleep } = {}) {
    this.root = root.replace(/\/$/, '');
    this.authorization = authorization;
    this.send = send ?? ((...request) => globalThis.fetch(...request));
    this.pause = pause;
  }

  /** Experts, how the gate routes, limits. */
  async capabilities(signal) {
    return this.#json('GET', '/v1/capabilities', { signal });
  }

  /** The volume of a DICOM series, which the service gets from the PACS if it does not have it. */
  async open(study, series, signal) {
    const body = { dicomweb: { study, series } };
    return this.#json('POST', '/v1/volumes', { body, signal });
  }

  /** Have the first click's embedding prepared. */
  async prepare(volume, body, signal) {
    return this.#json('POST', `/v1/volumes/${volume}/embeddings`, { body, signal });
  }

  /**
   * A click.
   *
   * @param {string} volume its id
   * @param {object} body as docs/api.md tells
   * @param {AbortSignal} signal who aborts it stops the work, and nothing is kept
   * @param {(step: {windows: number, encodes: number, mask: import('./packed.js').Mask}) => void} grown
   *   called for each step while the mask grows
   * @returns {Promise<{segmentation: any, mask: import('./packed.js').Mask}>}
   */
  async click(volume, body, signal, grown) {
    const path = `/v1/volumes/${volume}/segmentations`;
    const answer = await this.#ask('POST', path, { body, signal, accept: 'text/event-stream' });
    for await (const { name, data } of steps(answer.body, signal)) {
      if (name === 'problem') throw new Refused(data, data.status);
      const mask = await unpack(fromBase64(data.mask));
      if (name === 'segmentation') return { segmentation: data.segmentation, mask };
      if (name === 'progress') grown({ windows: data.windows, encodes: data.encodes, mask });
    }
    throw new Away();
  }

  /** Another mask of a segmentation: `fused`, `general`, `expert` or `rival`. */
  async candidate(segmentation, candidate, signal) {
    const path = `/v1/segmentations/${segmentation}/mask?candidate=${candidate}`;
    const answer = await this.#ask('GET', path, { signal, accept: PACKED });
    return unpack(new Uint8Array(await answer.arrayBuffer()));
  }

  /** Keep structures as a result, or give a result other entries. */
  async keep(volume, result, body, signal) {
    return result
      ? this.#json('PUT', `/v1/results/${result}`, { body, signal })
      : this.#json('POST', `/v1/volumes/${volume}/results`, { body, signal });
  }

  /** Send a result to the PACS. */
  async store(result, forms, signal) {
    return this.#json('POST', `/v1/results/${result}/store`, { body: { forms }, signal });
  }

  async #json(method, path, options) {
    return (await this.#ask(method, path, { ...options, accept: 'application/json' })).json();
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{body?: object, signal?: AbortSignal, accept: string}} options
   */
  async #ask(method, path, { body, signal, accept }) {
    const headers = { ...this.authorization(), Accept: accept };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    // What is asked again under one key is done once; a stream takes no key, and is kept by none
    // when it breaks.
    if (method === 'POST' && accept === 'application/json') headers['Idempotency-Key'] = newKey();
    for (let tries = 1; ; tries += 1) {
      const answer = await this.#try(`${this.root}${path}`, {
        method,
        headers,
        signal,
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      if (answer.ok) return answer;
      if (!BUSY.includes(answer.status) || tries === TRIES) {
        throw new Refused(await problemOf(answer), answer.status);
      }
      const asked = Number(answer.headers.get('Retry-After')) || PAUSE_SECONDS;
      await this.pause(Math.min(asked, LONGEST_PAUSE_SECONDS), signal);
    }
  }

  async #try(url, request) {
    try {
      return await this.send(url, request);
    } catch (error) {
      throw whatFailed(error, request.signal);
    }
  }
}

async function* steps(body, signal) {
  try {
    yield* events(body);
  } catch (error) {
    throw whatFailed(error, signal);
  }
}

/** `fetch` and bodies throw a TypeError when the connection fails. */
function whatFailed(error, signal) {
  if (signal?.aborted) return signal.reason;
  return error instanceof TypeError ? new Away() : error;
}

async function problemOf(answer) {
  try {
    return await answer.json();
  } catch {
    return {};
  }
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
}

function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
