"""Torso phantoms: a random person's trunk as a label map."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from sammoe.training.data import anatomy, frame
from sammoe.training.data.canvas import Canvas
from sammoe.training.data.labelmap import LabelMap
from sammoe.training.data.noise import smooth_noise
from sammoe.training.data.tissues import TISSUE
from sammoe.training.data.viscera import paint_viscera

_SPACING = 2.5
_BENDS = ((90.0, 7.0), (30.0, 1.8))  # size (mm) and standard deviation (mm) of the deformation


@dataclass(frozen=True)
class Frame:
    """Field of view: its size in mm and the height of its middle in the reference body, mm."""

    size: tuple[float, float, float]
    middle: float


def torso(rng: np.random.Generator) -> LabelMap:
    """A trunk between the chest and the thighs, 2.5 mm; about 3 s of one core.

    The person's build, organs, posture and the field of view are random; in one of twenty the
    organs lie mirrored. Labels are :class:`~.anatomy.Part`.
    """
    view = Frame(
        (rng.uniform(350, 420), rng.uniform(250, 320), rng.uniform(350, 400)),
        rng.uniform(-80, 90),
    )
    build = rng.uniform(0.78, 1.12) * np.exp(rng.normal(0, 0.05, 3))
    shape = tuple(round(s / _SPACING) for s in view.size)
    step = _SPACING / build
    off = np.array([rng.normal(0, 8), rng.normal(0, 8), view.middle])
    start = off - step * (np.array(shape) - 1) / 2
    canvas = Canvas(np.zeros(shape, np.uint8), start, step, rng)
    body = frame.Body.draw(rng)
    frame.paint_outline(canvas, body)
    paint_viscera(canvas, body)
    frame.paint_muscles(canvas, rng)
    frame.paint_bones(canvas, rng)
    labels = _bend(canvas.labels, rng)
    if rng.random() < 0.6:
        _lay_down(labels, rng)
    if rng.random() < 0.05:
        labels = np.ascontiguousarray(labels[::-1])
    return LabelMap(
        labels,
        _SPACING,
        anatomy.names(),
        anatomy.weights(),
        anatomy.unions(),
        TISSUE,
        "torso",
    )


def _bend(labels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Deform smoothly, nearest neighbour."""
    x, y, z = labels.shape
    at = []
    for axis in range(3):
        along = np.arange(labels.shape[axis], dtype=np.float32)
        where = np.broadcast_to(
            along.reshape([-1 if k == axis else 1 for k in range(3)]), (x, y, z)
        )
        for size, sd in _BENDS:
            where = where + smooth_noise((x, y, z), size / _SPACING, rng) * (sd / _SPACING)
        at.append(where)
    return map_coordinates(labels, at, order=0, mode="constant", cval=0)


def _lay_down(labels: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """A couch behind the back."""
    filled = np.flatnonzero((labels > 0).any(axis=(0, 2)))
    if len(filled) == 0 or filled[0] < 4:
        return
    x = np.arange(labels.shape[0]) - labels.shape[0] / 2
    top = filled[0] - 1 + (x / labels.shape[0]) ** 2 * rng.uniform(0, 40)
    y = np.arange(labels.shape[1])
    couch = (y[None] < top[:, None]) & (y[None] > top[:, None] - rng.integers(2, 4))
    free = couch[:, :, None] & (labels == anatomy.Part.AIR)
    labels[free] = anatomy.Part.COUCH
