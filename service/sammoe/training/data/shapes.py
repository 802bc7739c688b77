"""Maps of random shapes, so that the network learns "the thing that was clicked", not a list."""

import numpy as np
from numpy.typing import NDArray

from sammoe.training.data.canvas import Canvas
from sammoe.training.data.labelmap import LabelMap
from sammoe.training.data.noise import smooth_noise

_SIDE, _SPACING = 96, 1.5
_ROOM = _SIDE * _SPACING
_INNER, _WHOLE = 50, 100  # added to a label: what is nested in it, and both together


def shapes(rng: np.random.Generator) -> LabelMap:
    """Ten to twenty-five random structures in 96^3 voxels of 1.5 mm.

    Smooth regions that fill everything, then blobs (some nested in each other), tubes and sheets.
    """
    labels = _regions(rng, int(rng.integers(4, 10)))
    canvas = Canvas(labels, np.zeros(3), np.full(3, _SPACING), rng)
    top = int(labels.max())
    weights = dict.fromkeys(range(1, top + 1), 1.0)
    for label in range(top + 1, top + 1 + int(rng.integers(6, 16))):
        kind = rng.choice(["blob", "nested", "tube", "sheet"], p=[0.4, 0.25, 0.2, 0.15])
        centre = rng.uniform(0.1, 0.9, 3) * _ROOM
        weights[label] = 0.3 if kind in ("tube", "sheet") else 1.0
        if kind == "tube":
            path = np.cumsum(rng.normal(0, 22, (5, 3)), axis=0)
            path += centre - path.mean(0)
            canvas.paint(canvas.tube(path, rng.uniform(3, 10, 5)), label)
            continue
        radii = np.exp(rng.uniform(np.log(7), np.log(32), 3))
        if kind == "sheet":
            radii[rng.integers(3)] = rng.uniform(2, 4)
        turn = rng.uniform(-1.5, 1.5, 3)
        rough = float(rng.uniform(0.02, 0.22) * radii.min())
        blob = canvas.ellipsoid(centre, radii, turn=turn, rough=rough)
        canvas.paint(blob, label)
        if kind == "nested":
            inner = canvas.ellipsoid(
                centre + rng.uniform(-0.3, 0.3, 3) * radii, radii * rng.uniform(0.3, 0.7, 3),
                turn=turn, rough=rough / 2,
            )  # fmt: skip
            canvas.paint(inner, label + _INNER, over=(label,))
            weights[label + _INNER] = 0.7
    unions = {k + _WHOLE: (k, k + _INNER) for k in weights if k + _INNER in weights}
    weights |= dict.fromkeys(unions, 0.7)
    names = {0: "background"} | {k: f"shape {k}" for k in weights}
    return LabelMap(labels, _SPACING, names, weights, unions)


def _regions(rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """The highest of `count` smooth noises at each voxel; half of the maps have background, 0."""
    best = np.zeros((_SIDE,) * 3, np.float32)
    labels = np.zeros((_SIDE,) * 3, np.uint8)
    best += np.float32(rng.choice([-9.0, rng.uniform(0.3, 1.2)]))
    for k in range(1, count + 1):
        field = smooth_noise(labels.shape, float(rng.uniform(12, 36)), rng)
        higher = field > best
        np.copyto(best, field, where=higher)
        np.copyto(labels, np.uint8(k), where=higher)
    return labels
