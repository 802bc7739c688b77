/** Why a request was not answered as it should be. */

interface Body {
  code?: string;
  detail?: string;
  request_id?: string;
}

const PROBLEM = "application/problem+json";
/** What a proxy says when nothing is there behind it. */
const GATEWAY = [502, 503];

/** The service refused, and said why. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string | null;

  constructor(status: number, body: Body) {
    super(body.detail ?? `The service answered ${status}.`);
    this.name = "Refused";
    this.status = status;
    this.code = body.code ?? "unknown";
    this.requestId = body.request_id ?? null;
  }

  /** From an answer of status 400 or more, whatever its body is; of a proxy, the service is away. */
  static async from(answer: Response): Promise<Refused | Away> {
    const problem = answer.headers.get("Content-Type")?.startsWith(PROBLEM) ?? false;
    if (GATEWAY.includes(answer.status) && !problem) return new Away();
    return new Refused(answer.status, parse(await answer.text()));
  }

  /** The same from a body that was read already. */
  static of(status: number, text: string): Refused {
    return new Refused(status, parse(text));
  }
}

/** The service did not answer: it is down, or the network is. */
export class Away extends Error {
  constructor() {
    super("The service does not answer.");
    this.name = "Away";
  }
}

/** Whether somebody gave it up on purpose. */
export function isCancelled(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** Whether the same may go well later: once the service is back, is less busy, or has a key. */
export function isPassing(error: unknown): boolean {
  if (error instanceof Refused) return error.status >= 500 || [401, 429].includes(error.status);
  return error instanceof Away;
}

function parse(text: string): Body {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === "object" && body !== null ? body : {};
  } catch {
    return {};
  }
}
