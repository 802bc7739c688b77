"""Brain label maps of real people (SynthSeg's training maps), made finer for rendering."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sammoe.training.data import brain_labels
from sammoe.training.data.labelmap import LabelMap

_SOURCE_MM, _FACTOR = 3.0, 2


def brains(path: Path) -> list[LabelMap]:
    """Read the label maps int16 [N, 64, 64, 64] (3 mm, axes R, A, S) of an .npz; 1.5 mm each.

    About 1 s a map. Raises ``KeyError`` for an id that ``brain_labels`` does not know.
    """
    with np.load(path) as file:
        maps = file["labels"]
    return [
        LabelMap(
            smooth_upsample(_renumber(one)),
            _SOURCE_MM / _FACTOR,
            brain_labels.names(),
            brain_labels.weights(),
            brain_labels.unions(),
            None,
            "brain",
        )
        for one in maps
    ]


def _renumber(labels: NDArray[np.int16]) -> NDArray[np.uint8]:
    table = np.zeros(int(labels.max()) + 1, np.uint8)
    for number in np.unique(labels):
        table[number] = brain_labels.code(int(number))
    return table[labels]


def smooth_upsample(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Twice as fine along each axis: the label whose smoothed mask is the highest wins.

    uint8 [X, Y, Z] -> uint8 [2 X, 2 Y, 2 Z]. Each label is smoothed within its bounding box.
    """
    out = np.zeros([n * _FACTOR for n in labels.shape], np.uint8)
    best = np.zeros(out.shape, np.float32)
    for label in np.unique(labels):
        mask = labels == label
        spans = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != k)))
                 for k in range(3)]  # fmt: skip
        box = tuple(slice(max(0, s[0] - 3), s[-1] + 4) for s in spans)
        part = np.pad(mask[box], 1, mode="edge").astype(np.float32)
        fine = part.repeat(_FACTOR, 0).repeat(_FACTOR, 1).repeat(_FACTOR, 2)
        # Small structures are smoothed less, or they would vanish.
        sigma = 1.2 if mask.sum() > 300 else 0.9
        score = gaussian_filter(fine, sigma, truncate=2.5)
        score = score[_FACTOR:-_FACTOR, _FACTOR:-_FACTOR, _FACTOR:-_FACTOR]
        where = tuple(slice(s.start * _FACTOR, min(s.stop, n) * _FACTOR)
                      for s, n in zip(box, labels.shape, strict=True))  # fmt: skip
        high, kept = best[where], out[where]
        higher = score > high
        np.copyto(high, score, where=higher)
        np.copyto(kept, np.uint8(label), where=higher)
    return out
