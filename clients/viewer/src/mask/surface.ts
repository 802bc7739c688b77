/** The surface of a mask as triangles: surface nets on its voxels, smoothed without shrinking. */

import type { Mask } from "./packed.ts";

export interface Surface {
  /** x, y, z in RAS+ mm, one after the other. */
  positions: Float32Array<ArrayBuffer>;
  triangles: Uint32Array<ArrayBuffer>;
}

const MOST_POINTS = 6e6;
const ROUNDS = 12;
// Taubin's pair: the second step gives back what the first one shrinks.
const SHRINK = 0.5;
const SWELL = -0.53;

/** `affine`: voxel index of the volume to RAS+ mm, 4 x 4. */
export function surfaceOf(mask: Mask, affine: readonly (readonly number[])[]): Surface {
  const stride = strideFor(mask.size);
  const net = spread(mask, stride);
  const { positions, quads } = weave(net);
  smooth(positions, quads);
  place(positions, mask.first, stride, affine);
  return { positions, triangles: halves(quads, mirrors(affine)) };
}

interface Net {
  /** 1 inside, 0 outside, with a rim of 0 all round. */
  inside: Uint8Array;
  size: [number, number, number];
}

function strideFor(size: readonly number[]): number {
  let stride = 1;
  while (size.reduce((points, n) => points * (n / stride + 2), 1) > MOST_POINTS) stride++;
  return stride;
}

function spread(mask: Mask, stride: number): Net {
  const [a, b, c] = mask.size;
  const size = mask.size.map((n) => Math.ceil(n / stride) + 2) as [number, number, number];
  const inside = new Uint8Array(size[0] * size[1] * size[2]);
  for (let k = 0, z = 1; k < c; k += stride, z++) {
    for (let j = 0, y = 1; j < b; j += stride, y++) {
      let at = 1 + size[0] * (y + size[1] * z);
      const row = a * (j + b * k);
      for (let i = 0; i < a; i += stride, at++) {
        const n = row + i;
        inside[at] = (mask.bits[n >> 3] >> (n & 7)) & 1;
      }
    }
  }
  return { inside, size };
}

/** A point in each cell between eight voxels that differ, and a quad across each pair that differs. */
function weave({ inside, size }: Net): { positions: Float32Array<ArrayBuffer>; quads: Uint32Array } {
  const [nx, ny, nz] = size;
  const strides = [1, nx, nx * ny];
  const corners = [0, 1, nx, nx + 1, nx * ny, nx * ny + 1, nx * ny + nx, nx * ny + nx + 1];
  const points: number[] = [];
  const quads: number[] = [];
  const pointOf = new Int32Array(inside.length).fill(-1);
  for (let z = 0; z < nz - 1; z++) {
    for (let y = 0; y < ny - 1; y++) {
      for (let x = 0, n = nx * (y + ny * z); x < nx - 1; x++, n++) {
        let sum = 0;
        for (const corner of corners) sum += inside[n + corner];
        if (sum === 0 || sum === 8) continue;
        pointOf[n] = points.length / 3;
        const [dx, dy, dz] = middle(inside, n, corners);
        points.push(x + dx, y + dy, z + dz);
      }
    }
  }
  for (let n = 0; n < inside.length; n++) {
    for (let axis = 0; axis < 3; axis++) {
      const other = n + strides[axis];
      if (other >= inside.length || inside[n] === inside[other]) continue;
      const [u, v] = [strides[(axis + 1) % 3], strides[(axis + 2) % 3]];
      const ring = [n, n - u, n - u - v, n - v].map((cell) => pointOf[cell]);
      if (inside[n] === 0) ring.reverse();
      quads.push(...ring);
    }
  }
  return { positions: Float32Array.from(points), quads: Uint32Array.from(quads) };
}

/** Mean of the middles of a cell's edges that are crossed, 0 to 1 along each axis. */
function middle(inside: Uint8Array, n: number, corners: readonly number[]): [number, number, number] {
  const sum: [number, number, number] = [0, 0, 0];
  let crossed = 0;
  for (let corner = 0; corner < 8; corner++) {
    for (let axis = 0; axis < 3; axis++) {
      const other = corner | (1 << axis);
      if (other === corner || inside[n + corners[corner]] === inside[n + corners[other]]) continue;
      crossed++;
      for (let d = 0; d < 3; d++) sum[d] += d === axis ? 0.5 : (corner >> d) & 1;
    }
  }
  return [sum[0] / crossed, sum[1] / crossed, sum[2] / crossed];
}

function smooth(positions: Float32Array, quads: Uint32Array): void {
  const count = positions.length / 3;
  const sums = new Float32Array(positions.length);
  const neighbours = new Uint16Array(count);
  for (let round = 0; round < 2 * ROUNDS; round++) {
    sums.fill(0);
    neighbours.fill(0);
    for (let q = 0; q < quads.length; q += 4) {
      for (let side = 0; side < 4; side++) {
        const [one, other] = [quads[q + side], quads[q + ((side + 1) & 3)]];
        neighbours[one]++;
        for (let d = 0; d < 3; d++) sums[3 * one + d] += positions[3 * other + d];
      }
    }
    const part = round & 1 ? SWELL : SHRINK;
    for (let p = 0; p < count; p++) {
      if (neighbours[p] === 0) continue;
      for (let d = 0; d < 3; d++) {
        const at = 3 * p + d;
        positions[at] += part * (sums[at] / neighbours[p] - positions[at]);
      }
    }
  }
}

/** From the net's points to mm. */
function place(
  positions: Float32Array,
  first: readonly number[],
  stride: number,
  affine: readonly (readonly number[])[],
): void {
  for (let at = 0; at < positions.length; at += 3) {
    const voxel = [0, 1, 2].map((d) => first[d] + stride * (positions[at + d] - 1));
    for (let d = 0; d < 3; d++) {
      const row = affine[d];
      positions[at + d] = row[0] * voxel[0] + row[1] * voxel[1] + row[2] * voxel[2] + row[3];
    }
  }
}

/** Whether an affine turns a right hand into a left one: then faces must be turned, too. */
function mirrors(affine: readonly (readonly number[])[]): boolean {
  const [[a, b, c], [d, e, f], [g, h, i]] = affine as unknown as number[][];
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g) < 0;
}

function halves(quads: Uint32Array, turned: boolean): Uint32Array<ArrayBuffer> {
  const triangles = new Uint32Array((quads.length / 4) * 6);
  for (let q = 0, t = 0; q < quads.length; q += 4, t += 6) {
    const [a, b, c, d] = quads.subarray(q, q + 4);
    triangles.set(turned ? [a, c, b, a, d, c] : [a, b, c, a, c, d], t);
  }
  return triangles;
}
