/**
 * From masks to the numbers of a label map, slice by slice. Where masks overlap the later one shows,
 * as in a result that is merged by `overwrite`.
 *
 * @typedef {import('./packed.js').Mask} Mask
 */

/** The slices on which any of the masks has voxels, as [first, end). @param {Mask[]} masks */
export function slicesWith(masks) {
  const drawn = masks.filter(mask => mask.count);
  if (!drawn.length) return [0, 0];
  return [
    Math.min(...drawn.map(mask => mask.first[2])),
    Math.max(...drawn.map(mask => mask.first[2] + mask.box[2])),
  ];
}

/**
 * One slice of the label map.
 *
 * @param {{number: number, mask: Mask}[]} layers the later over the earlier
 * @param {number} k
 * @param {number} columns
 * @param {Uint8Array} pixels of the slice, row after row; written over
 */
export function paint(layers, k, columns, pixels) {
  pixels.fill(0);
  for (const { number, mask } of layers) {
    const { first, box, bits } = mask;
    const slice = k - first[2];
    if (slice < 0 || slice >= box[2]) continue;
    for (let j = 0; j < box[1]; j += 1) {
      const to = (first[1] + j) * columns + first[0];
      const from = box[0] * (j + box[1] * slice);
      for (let i = 0; i < box[0]; i += 1) {
        const bit = from + i;
        if ((bits[bit >> 3] >> (bit & 7)) & 1) pixels[to + i] = number;
      }
    }
  }
}
