/** Keys under which the service does once what is sent more than once. */

export function newKey(): string {
  // Not by `crypto.randomUUID`, which is there for TLS and loopback alone.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The header that says a key. */
export function once(key: string): Record<string, string> {
  return { "Idempotency-Key": key };
}
