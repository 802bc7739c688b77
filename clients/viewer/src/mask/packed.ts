/** The packed mask, byte by byte as docs/api.md tells. */

import type { Triple } from "../api/types.ts";

/** A mask on a volume's own grid: the box around it, a bit a voxel, i fastest. */
export interface Mask {
  /** Of the whole volume. */
  shape: Triple;
  /** First voxel of the box. */
  first: Triple;
  /** Voxels of the box along i, j, k; all 0 for an empty mask. */
  size: Triple;
  count: number;
  /** Voxel (i, j, k) of the box is bit n = i + a (j + b k). */
  bits: Uint8Array;
}

const HEADER = 52;

/** Bytes that are no packed mask, or a damaged one. */
export class NoMask extends Error {}

/** Read a packed mask; what does not fit together is refused, never shown. */
export async function unpack(data: Uint8Array): Promise<Mask> {
  if (data.length < HEADER || String.fromCharCode(...data.subarray(0, 4)) !== "SMSK") {
    throw new NoMask("These bytes are no packed mask.");
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (view.getUint16(4, true) !== 1 || view.getUint16(6, true) !== 0) {
    throw new NoMask("The packed mask is of a newer version: reload the page.");
  }
  const triple = (at: number): Triple => [0, 4, 8].map((n) => view.getUint32(at + n, true)) as Triple;
  const [shape, first, size] = [triple(8), triple(20), triple(32)];
  if (size.some((n, axis) => first[axis] + n > shape[axis])) {
    throw new NoMask("The packed mask leaves its volume.");
  }
  const bits = await inflate(data.subarray(HEADER));
  const count = Number(view.getBigUint64(44, true));
  if (bits.length !== Math.ceil((size[0] * size[1] * size[2]) / 8) || ones(bits) !== count) {
    throw new NoMask("The packed mask holds other voxels than its header says.");
  }
  return { shape, first, size, count, bits };
}

/** Whether a voxel of the volume is in the mask. */
export function has(mask: Mask, voxel: Triple): boolean {
  const [i, j, k] = voxel.map((n, axis) => n - mask.first[axis]) as Triple;
  const [a, b, c] = mask.size;
  if (i < 0 || j < 0 || k < 0 || i >= a || j >= b || k >= c) return false;
  const n = i + a * (j + b * k);
  return ((mask.bits[n >> 3] >> (n & 7)) & 1) === 1;
}

async function inflate(deflated: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([deflated as BlobPart]).stream().pipeThrough(new DecompressionStream("deflate"));
  try {
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new NoMask("The packed mask's stream is broken.");
  }
}

function ones(bits: Uint8Array): number {
  let sum = 0;
  for (const byte of bits) sum += BITS[byte];
  return sum;
}

const BITS = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);
