/**
 * The packed mask, as docs/api.md tells it byte by byte.
 *
 * @typedef {object} Mask
 * @property {number[]} shape voxels of the whole volume along i, j, k
 * @property {number[]} first first voxel of the box around the mask
 * @property {number[]} box voxels of that box along i, j, k; zeros where the mask is empty
 * @property {number} count voxels in the mask
 * @property {Uint8Array} bits a bit for each voxel of the box, i fastest, lowest bit first
 */

const HEADER_BYTES = 52;
const VERSION = 1;
const MAX_VOXELS = 2 ** 31;

/** What is no packed mask. */
export class NotAMask extends Error {}

/**
 * Read a packed mask.
 *
 * @param {Uint8Array} bytes
 * @returns {Promise<Mask>}
 * @throws {NotAMask} it is none, or damaged: nothing of it may be shown
 */
export async function unpack(bytes) {
  if (bytes.length < HEADER_BYTES || String.fromCharCode(...bytes.subarray(0, 4)) !== 'SMSK') {
    throw new NotAMask('The answer is no packed mask.');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint16(4, true) !== VERSION || view.getUint16(6, true) !== 0) {
    throw new NotAMask('The packed mask is of a newer version.');
  }
  const triple = offset => [0, 4, 8].map(step => view.getUint32(offset + step, true));
  const [shape, first, box] = [triple(8), triple(20), triple(32)];
  const count = Number(view.getBigUint64(44, true));
  const voxels = box[0] * box[1] * box[2];
  if (voxels > MAX_VOXELS || box.some((length, axis) => first[axis] + length > shape[axis])) {
    throw new NotAMask('The packed mask leaves its volume.');
  }
  const bits = await inflate(bytes.subarray(HEADER_BYTES), Math.ceil(voxels / 8));
  const mask = { shape, first, box, count, bits };
  if (ones(bits) !== count) {
    throw new NotAMask('The packed mask holds another number of voxels than it says.');
  }
  return mask;
}

/**
 * A mask without voxels.
 *
 * @param {number[]} shape
 * @returns {Mask}
 */
export function empty(shape) {
  const zeros = [0, 0, 0];
  return { shape, first: zeros, box: zeros, count: 0, bits: new Uint8Array(0) };
}

/**
 * Bytes of base64.
 *
 * @param {string} text
 */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), character => character.charCodeAt(0));
}

async function inflate(bytes, size) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  const found = new Uint8Array(size);
  let filled = 0;
  try {
    for (const reader = stream.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      if (filled + value.length > size) throw new NotAMask('The packed mask is too long.');
      found.set(value, filled);
      filled += value.length;
    }
  } catch (error) {
    throw error instanceof NotAMask ? error : new NotAMask('The packed mask is damaged.');
  }
  if (filled !== size) throw new NotAMask('The packed mask ends early.');
  return found;
}

function ones(bits) {
  let count = 0;
  for (let byte of bits) {
    for (; byte; byte &= byte - 1) count += 1;
  }
  return count;
}
