import assert from 'node:assert/strict';
import test from 'node:test';

import { boxOf, GridsDiffer, isInside, slicesOf, toPlace, toVoxel } from '../geometry.js';

const close = (found, wanted) =>
  found.forEach((number, axis) => assert.ok(Math.abs(number - wanted[axis]) < 1e-6, `${found} is not ${wanted}`));

/** Axes and spacings of a volume as rows of its affine (RAS+): axial, sagittal, oblique. */
const turn = (angle, [x, y, z]) => [
  x * Math.cos(angle) - y * Math.sin(angle),
  x * Math.sin(angle) + y * Math.cos(angle),
  z,
];
const AFFINES = {
  axial: [[-0.7, 0, 0, 90], [0, -0.7, 0, 110], [0, 0, 2.5, -40], [0, 0, 0, 1]],
  sagittal: [[0, 0, -1.2, 60], [-0.9, 0, 0, 100], [0, -0.9, 0, 120], [0, 0, 0, 1]],
  oblique: (() => {
    const [i, j, k] = [turn(0.3, [-0.8, 0, 0]), turn(0.3, [0, -0.8, 0]), [0.2, -0.1, 3]];
    return [0, 1, 2].map(axis => [i[axis], j[axis], k[axis], 10 * axis]).concat([[0, 0, 0, 1]]);
  })(),
};
const SHAPE = [40, 30, 6];

function planes({ shape, affine }) {
  const lps = column => [-affine[0][column], -affine[1][column], affine[2][column]];
  const length = v => Math.hypot(...v);
  const unit = v => v.map(part => part / length(v));
  return Array.from({ length: shape[2] }, (_, k) => ({
    imagePositionPatient: toPlace(affine, [0, 0, k]),
    rowCosines: unit(lps(0)),
    columnCosines: unit(lps(1)),
    columnPixelSpacing: length(lps(0)),
    rowPixelSpacing: length(lps(1)),
    columns: shape[0],
    rows: shape[1],
  }));
}

for (const [name, affine] of Object.entries(AFFINES)) {
  const volume = { shape: SHAPE, affine };

  test(`${name}: places go there and back`, () => {
    const voxel = toVoxel(affine);
    close(voxel(toPlace(affine, [3, 17.5, 2])), [3, 17.5, 2]);
    close(voxel([-affine[0][3], -affine[1][3], affine[2][3]]), [0, 0, 0]);
  });

  test(`${name}: each image is found on its slice, in any order`, () => {
    const images = planes(volume);
    assert.deepEqual(slicesOf(volume, images), [0, 1, 2, 3, 4, 5]);
    assert.deepEqual(slicesOf(volume, images.toReversed()), [5, 4, 3, 2, 1, 0]);
  });

  test(`${name}: a box drawn in a slice stays in it`, () => {
    const corners = [[5, 6, 3], [12, 6, 3], [5, 9.25, 3], [12, 9.25, 3]].map(index =>
      toPlace(affine, index).map(mm => mm + 1e-9)
    );
    const box = boxOf(volume, corners);
    close(box[0], [5, 6, 3]);
    close(box[1], [12, 9.25, 3]);
    assert.equal(box[0][2], box[1][2]);
  });
}

test('images of another grid are refused', () => {
  const volume = { shape: SHAPE, affine: AFFINES.axial };
  const changed = change => planes(volume).map((plane, k) => (k === 3 ? { ...plane, ...change(plane) } : plane));
  const moved = ({ imagePositionPatient: [x, y, z] }, dx, dz) => ({ imagePositionPatient: [x + dx, y, z + dz] });
  const others = [
    changed(plane => moved(plane, 0.35, 0)),
    changed(plane => moved(plane, 0, 1.2)),
    changed(plane => moved(plane, 0, 2.5)),
    changed(plane => ({ columns: plane.columns + 1 })),
    changed(plane => ({ rowPixelSpacing: plane.rowPixelSpacing * 1.05 })),
    changed(plane => ({ rowCosines: plane.rowCosines.map(part => -part) })),
    planes(volume).slice(1),
    [...planes(volume).slice(1), planes(volume)[1]],
  ];
  for (const images of others) assert.throws(() => slicesOf(volume, images), GridsDiffer);
  assert.throws(() => toVoxel([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]), GridsDiffer);
});

test('images whose rows and columns changed places are refused', () => {
  const volume = { shape: [30, 30, 6], affine: AFFINES.axial };
  const images = planes(volume);
  const turned = images.map(plane => ({
    ...plane,
    rowCosines: plane.columnCosines,
    columnCosines: plane.rowCosines,
  }));
  assert.deepEqual(slicesOf(volume, images), [0, 1, 2, 3, 4, 5]);
  assert.throws(() => slicesOf(volume, turned), GridsDiffer);
});

test('what is beside the volume is not inside, and boxes are cut to it', () => {
  const volume = { shape: SHAPE, affine: AFFINES.axial };
  assert.ok(isInside(volume, [-0.4, 29.4, 0]));
  assert.ok(!isInside(volume, [-0.6, 3, 0]));
  assert.ok(!isInside(volume, [3, 3, 5.6]));
  const corners = [[-20, 3, 2], [100, 200, 2]].map(index => toPlace(volume.affine, index));
  const [first, last] = boxOf(volume, corners);
  close(first, [0, 3, 2]);
  close(last, [39, 29, 2]);
});
