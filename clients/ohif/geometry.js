/**
 * Places: of the viewer (mm, LPS), of the service (voxel indices of its volume), and which slice of
 * the volume each image of the viewer is. A wrong place is a wrong mask, so all is checked.
 *
 * @typedef {object} Plane one image of the viewer, as its plane's metadata say
 * @property {number[]} imagePositionPatient centre of the first pixel, mm, LPS
 * @property {number[]} rowCosines direction in which columns are counted
 * @property {number[]} columnCosines direction in which rows are counted
 * @property {number} columnPixelSpacing mm between columns
 * @property {number} rowPixelSpacing mm between rows
 * @property {number} columns
 * @property {number} rows
 */

/** Voxels that a place may be off: as much as rounding in headers makes, and no pixel. */
const TOLERANCE = 0.1;

/** Images and volume are not on one grid. */
export class GridsDiffer extends Error {}

/**
 * From mm (LPS) to voxel indices of a volume.
 *
 * @param {number[][]} affine 4 x 4, voxel index (i, j, k, 1) to RAS+ mm
 * @returns {(place: ArrayLike<number>) => number[]}
 */
export function toVoxel(affine) {
  const [[a, b, c], [d, e, f], [g, h, i]] = affine;
  const det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  if (!Number.isFinite(det) || det === 0) throw new GridsDiffer('The volume has no geometry.');
  const inverse = [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ];
  return place => {
    const from = [-place[0], -place[1], place[2]].map((mm, axis) => mm - affine[axis][3]);
    return inverse.map(row => row.reduce((sum, part, axis) => sum + part * from[axis], 0) / det);
  };
}

/** From voxel indices of a volume to mm (LPS). @param {number[][]} affine @param {number[]} index */
export function toPlace(affine, index) {
  const ras = affine.slice(0, 3).map(row => row[3] + index.reduce((sum, n, axis) => sum + n * row[axis], 0));
  return [-ras[0], -ras[1], ras[2]];
}

/**
 * Which slice k of the volume each image is.
 *
 * @param {{shape: number[], affine: number[][]}} volume as the service describes it
 * @param {Plane[]} planes of all images, in any order
 * @returns {number[]} k of each image, all different
 * @throws {GridsDiffer} an image does not lie, pixel by pixel, on a slice of the volume
 */
export function slicesOf(volume, planes) {
  const [columns, rows, slices] = volume.shape;
  if (planes.length !== slices) {
    throw new GridsDiffer(`The viewer shows ${planes.length} images, and the volume has ${slices}.`);
  }
  const voxel = toVoxel(volume.affine);
  const found = planes.map(plane => {
    if (plane.columns !== columns || plane.rows !== rows) {
      throw new GridsDiffer('An image has another number of pixels than the volume.');
    }
    const first = voxel(plane.imagePositionPatient);
    const k = Math.round(first[2]) + 0; // never -0
    // Of one diagonal alone, both ends would stay where rows and columns change places.
    const corners = [
      [0, 0],
      [columns - 1, 0],
      [0, rows - 1],
      [columns - 1, rows - 1],
    ];
    const lies = corners.every(([i, j]) => near(voxel(pixelAt(plane, i, j)), [i, j, k]));
    if (k < 0 || k >= slices || !lies) {
      throw new GridsDiffer('An image lies elsewhere than the volume says.');
    }
    return k;
  });
  if (new Set(found).size !== slices) throw new GridsDiffer('Two images are at one place.');
  return found;
}

/**
 * A box that was drawn, in voxel indices, cut to the volume.
 *
 * @param {{shape: number[], affine: number[][]}} volume
 * @param {ArrayLike<number>[]} corners mm, LPS
 * @returns {number[][]} first and last corner
 */
export function boxOf(volume, corners) {
  const voxel = toVoxel(volume.affine);
  const places = corners.map(voxel);
  const end = (choose, axis) => {
    const far = choose(...places.map(place => place[axis]));
    return Math.min(Math.max(far, 0), volume.shape[axis] - 1);
  };
  // Of a slice that it was drawn in, not of the rounding beside it.
  const flat = axis => Math.max(...places.map(p => p[axis])) - Math.min(...places.map(p => p[axis]));
  return [Math.min, Math.max].map(choose =>
    [0, 1, 2].map(axis => (flat(axis) < TOLERANCE ? Math.round(end(Math.min, axis)) : end(choose, axis)))
  );
}

/** Whether voxel indices are of a voxel of the volume. */
export function isInside(volume, place) {
  return place.every((index, axis) => index > -0.5 && index < volume.shape[axis] - 0.5);
}

/** Centre of a pixel, mm, LPS. @param {Plane} plane @param {number} column @param {number} row */
function pixelAt(plane, column, row) {
  const along = column * plane.columnPixelSpacing;
  const down = row * plane.rowPixelSpacing;
  return [0, 1, 2].map(
    axis =>
      plane.imagePositionPatient[axis] +
      along * plane.rowCosines[axis] +
      down * plane.columnCosines[axis]
  );
}

function near(place, wanted) {
  return place.every((index, axis) => Math.abs(index - wanted[axis]) < TOLERANCE);
}
