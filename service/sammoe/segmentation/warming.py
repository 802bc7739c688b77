"""Which windows are worth embedding before anybody clicks: those that most clicks would take.

A body is sampled on a coarse grid; each sample is a click that may come, and the window rule says
which window it takes. So the rule alone decides what is warm, and an empty corner costs nothing.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sammoe.store import VolumeRecord
from sammoe.volume.volume import Modality
from sammoe.volume.window import Window, WindowRule, window_for_point

SAMPLE_MM: Final = 8.0
"""Distance of the samples."""

BODY_HU: Final = -300.0
"""CT above this is body."""

BODY_SHARE: Final = 0.25
"""Elsewhere, what is above this share of the mean of the voxels > 0."""

RARE: Final = 0.005
"""Windows that fewer of the clicks would take are left out."""


@dataclass(frozen=True)
class WarmUp:
    """What to embed.

    Attributes
    ----------
    windows
        The one that most clicks would take first.
    covered
        Share of the clicks on the body that find one of them.
    size
        Bytes of all embeddings.
    """

    windows: tuple[Window, ...]
    covered: float
    size: int


def warm_up(
    volume: VolumeRecord, voxels: NDArray[Any], rule: WindowRule, embedding_bytes: int
) -> WarmUp:
    """Plan the warm-up of a whole scan; ``voxels`` [i, j, k] are its own."""
    steps = [max(1, round(SAMPLE_MM / spacing)) for spacing in volume.geometry.spacing]
    first = [step // 2 if n > step // 2 else 0 for step, n in zip(steps, volume.shape, strict=True)]
    grid = tuple(slice(at, None, step) for at, step in zip(first, steps, strict=True))
    places = np.argwhere(body(voxels[grid], volume.modality)) * steps + first
    taken = Counter(
        window_for_point(volume.geometry, place, volume.modality, rule) for place in places.tolist()
    )
    ranked = sorted(taken.items(), key=lambda item: (-item[1], item[0].start))
    kept = [(window, count) for window, count in ranked if count >= RARE * len(places)]
    covered = sum(count for _, count in kept) / max(1, len(places))
    return WarmUp(tuple(window for window, _ in kept), covered, embedding_bytes * len(kept))


def body(voxels: NDArray[Any], modality: Modality) -> NDArray[np.bool_]:
    """Where a click is likely: bool, as ``voxels``."""
    if modality is Modality.CT:
        return np.asarray(voxels > BODY_HU)
    inside = voxels[voxels > 0]
    return np.asarray(voxels > (BODY_SHARE * inside.mean() if inside.size else 0.0))
