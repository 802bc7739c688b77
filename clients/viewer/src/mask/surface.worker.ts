/** Surfaces are made beside the page, so that clicking goes on. */

import type { Mask } from "./packed.ts";
import { surfaceOf } from "./surface.ts";

interface Job {
  number: number;
  mask: Mask;
  affine: number[][];
}

self.onmessage = ({ data }: MessageEvent<Job>) => {
  const surface = surfaceOf(data.mask, data.affine);
  const parts = [surface.positions.buffer, surface.triangles.buffer];
  (self as unknown as Worker).postMessage({ number: data.number, surface }, parts);
};
