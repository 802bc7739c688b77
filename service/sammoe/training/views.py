"""What serving would show the networks for a prompt in a labelled scan: windows and places in them.

Half of the windows are those of a first click, half those of a box. Clicks and corners are made in
the scan's own voxels and go to the window by serving's functions.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import NoForeground
from sammoe.training.augmentation import Mask, augmented
from sammoe.training.sampling import Cube, occupancy
from sammoe.volume.crop import crop, resample_window
from sammoe.volume.volume import Modality, Volume
from sammoe.volume.window import (
    Window,
    WindowRule,
    source_to_window,
    window_for_box,
    window_for_point,
)

CLICKS = 8
"""Places of a first click that are kept for each window, K."""

_DRAWN = 48  # places from which those are chosen
_CENTRAL = 16  # a central click is the nearest to the middle of so many
_JITTER = 0.1  # of a box's side, per face
_BODY_ABOVE = 0.2  # of the mean of the voxels > 0
_CT_BODY_HU = -200.0
_RANDOM_BOX_MM = (10.0, 150.0)

Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class View:
    """One window with what may be pointed at in it.

    Attributes
    ----------
    image
        float32 [S, S, S], as the image encoder gets it.
    target
        float32 [L, L, L]: share of each cell that is wanted.
    clicks
        float32 [K, 3], window voxels: each of them a first click that serving answers in this very
        window, or, where a box chose the window, a place of the target in it.
    box
        float32 [6], window voxels: first and last corner of the whole target, cut to the window.
    boxed
        Whether a box chose the window.
    window
        Where it lies.
    """

    image: Cube
    target: Cube
    clicks: Cube
    box: NDArray[np.float32]
    boxed: bool
    window: Window


def target_views(
    volume: Volume,
    mask: Mask,
    rule: WindowRule,
    *,
    windows: int,
    rng: np.random.Generator,
    augment: bool,
) -> Iterator[View]:
    """Windows of prompts that mean ``mask``, which is not empty: by click and by box in turn.

    Raises
    ------
    NoForeground
        There is nothing to see around the target.
    """
    for number in range(windows):
        scan, target = augmented(volume, mask, rng) if augment else (volume, mask)
        places = np.argwhere(target)
        corners = np.array([places.min(0), places.max(0)], dtype=np.float64)
        if not number % 2:
            yield _by_click(scan, target, places, corners, rule, rng)
        elif view := _by_box(scan, target, places, corners, rule, rng, jitter=rng.random() < 0.5):
            yield view


def random_views(
    volume: Volume, allowed: Mask, rule: WindowRule, *, windows: int, rng: np.random.Generator
) -> Iterator[View]:
    """Windows of prompts that mean nothing in particular: a place in ``allowed``, or a box there.

    ``target`` is where ``allowed`` is.
    """
    places = np.argwhere(allowed)
    spacing = np.asarray(volume.geometry.spacing)
    for number in range(windows):
        middle = places[rng.integers(len(places))]
        low, high = np.log(_RANDOM_BOX_MM)
        half = np.exp(rng.uniform(low, high, 3)) / spacing / 2
        corners = np.array([middle - half, middle + half])
        with contextlib.suppress(NoForeground):  # A window of lung or fat alone, in CT.
            if not number % 2:
                yield _by_click(volume, allowed, places, corners, rule, rng)
            elif view := _by_box(volume, allowed, places, corners, rule, rng, jitter=False):
                yield view


def body(volume: Volume) -> Mask:
    """Where the patient is, roughly: bool [i, j, k]."""
    voxels = volume.voxels
    if volume.modality is Modality.CT:
        return np.asarray(voxels > _CT_BODY_HU)
    positive = voxels[voxels > 0]
    level = _BODY_ABOVE * float(positive.mean()) if positive.size else 0.0
    return np.asarray(voxels > level)


def _by_click(
    volume: Volume,
    target: Mask,
    places: Places,
    corners: NDArray[np.float64],
    rule: WindowRule,
    rng: np.random.Generator,
) -> View:
    drawn = _draw(places, rng)
    windows = [window_for_point(volume.geometry, p, volume.modality, rule) for p in drawn.tolist()]
    window = windows[0]
    clicks = drawn[[other == window for other in windows]]
    return _view(volume, target, window, clicks, corners, rule, boxed=False)


def _by_box(
    volume: Volume,
    target: Mask,
    places: Places,
    corners: NDArray[np.float64],
    rule: WindowRule,
    rng: np.random.Generator,
    *,
    jitter: bool,
) -> View | None:
    shift = _JITTER * rng.uniform(-1, 1, (2, 3)) * (corners[1] - corners[0] + 1) * jitter
    lo, hi = np.sort(_in_volume(corners + shift, volume), axis=0)
    window = window_for_box(volume.geometry, lo, hi, volume.modality, rule)
    at = source_to_window(volume.geometry, window, places)
    shown = places[((at >= -0.5) & (at <= window.side - 0.5)).all(axis=1)]
    if not len(shown):  # The box is larger than the largest window, and hollow at its middle.
        return None
    clicks = _draw(shown, rng)
    return _view(volume, target, window, clicks, corners, rule, boxed=True)


def _view(
    volume: Volume,
    target: Mask,
    window: Window,
    clicks: NDArray[np.float64],
    corners: NDArray[np.float64],
    rule: WindowRule,
    *,
    boxed: bool,
) -> View:
    geometry, side = volume.geometry, window.side
    share = resample_window(target, geometry, window, average=True)
    box = source_to_window(geometry, window, _in_volume(corners, volume))
    places = source_to_window(geometry, window, clicks[np.arange(CLICKS) % len(clicks)])
    return View(
        crop(volume, window, rule)[0, 0],
        occupancy(share, rule.cells),
        places.clip(-0.5, side - 0.5).astype(np.float32),
        np.sort(box, axis=0).clip(-0.5, side - 0.5).reshape(6).astype(np.float32),
        boxed,
        window,
    )


def _draw(places: Places, rng: np.random.Generator) -> NDArray[np.float64]:
    """Clicks in some of the voxels, float [_DRAWN, 3]: uniform and central ones in turn."""
    groups = places[rng.integers(len(places), size=(_DRAWN, _CENTRAL))].astype(np.float64)
    nearest = np.square(groups - groups.mean(1, keepdims=True)).sum(2).argmin(1)
    chosen = np.where(np.arange(_DRAWN) // 2 % 2, nearest, 0)
    drawn = groups[np.arange(_DRAWN), chosen] + rng.uniform(-0.5, 0.5, (_DRAWN, 3))
    return np.asarray(rng.permutation(drawn))


def _in_volume(corners: NDArray[np.float64], volume: Volume) -> NDArray[np.float64]:
    """As serving takes a box: cut to the volume."""
    return np.clip(corners, -0.5, np.asarray(volume.geometry.shape) - 0.5)
