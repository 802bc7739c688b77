"""Joining the answers of overlapping windows into one field, so that no seam shows.

Where windows of one request overlap, each counts the more the nearer a cell is to its middle.
Where they lie over an earlier field, the new answer counts alone but for a rim along the faces
beyond which the old one goes on: there it fades in. Nothing depends on the order in which windows
were visited.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sammoe.volume.field import Field, Region, slabs
from sammoe.volume.window import Window

RIM = 1 / 8
"""Share of a window's side over which an answer fades into an earlier one."""

Answer = tuple[Window, NDArray[np.float32]]
"""A window and its logits [L, L, L]."""


def joined(answers: Sequence[Answer], earlier: Field | None = None) -> Field:
    """One field of windows' answers, over an earlier field where there is one.

    Parameters
    ----------
    answers
        At least one; their cells are those of ``earlier``, and of each other.
    """
    # Sums of floats depend on their order: windows are added by their place, not as they came.
    ordered = sorted(answers, key=lambda answer: answer[0].start)
    if len(ordered) == 1 and earlier is None:
        return Field.of_window(*ordered[0])
    under = earlier or _nothing(*ordered[0])
    whole = under.covering([under.region(window) for window, _ in ordered])
    pieces = [_piece(whole, window, logits) for window, logits in ordered]
    values = whole.values.copy()
    for slab in slabs(values.shape):
        here = [piece for piece in pieces if piece.touches(slab)]
        if here:
            _blend(values[slab], slab.start, here)
    return Field(whole.spacing, whole.patch, whole.start, values)


def confirmed(
    before: Field, after: Field, places: NDArray[np.float64], labels: Sequence[int]
) -> Field:
    """Give back what a user had confirmed by a click, where joining took it away.

    Parameters
    ----------
    before, after
        The earlier field, and the one that replaces it, on cells of the same place.
    places, labels
        Model index [N, 3] and label of each earlier click; 1 is inside.

    Returns
    -------
    ``after`` with the cells of ``before`` around each click that ``before`` met and ``after`` not;
    with what ``before`` says there, where cells that ``after`` alone knows would outvote them.
    """
    old, values = before.over(after), after.values.copy()
    kept = replace(after, values=values)
    for place, label in zip(places, labels, strict=True):
        was, now = before.at(place), after.at(place)
        if np.isnan(was) or (was > 0) != bool(label) or (now > 0) == bool(label):
            continue
        i, j, k = (slice(max(0, part.start), part.stop) for part in after.support(place))
        np.copyto(values[i, j, k], old[i, j, k], where=~np.isnan(old[i, j, k]))
        if (kept.at(place) > 0) != bool(label):
            values[i, j, k] = was
    return kept


def _nothing(window: Window, logits: NDArray[np.float32]) -> Field:
    return Field.of_window(window, np.full(logits.shape, np.nan, np.float32))


@dataclass(frozen=True, eq=False)
class _Piece:
    """A window's answer, and how much it counts: products of float64 [L] along each axis.

    Attributes
    ----------
    region
        Its cells in the field.
    logits
        float32 [L, L, L].
    tent
        Its weight along any axis, beside other windows' answers.
    ramps
        Its share along each axis, over what was known before.
    """

    region: Region
    logits: NDArray[np.float32]
    tent: NDArray[np.float64]
    ramps: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

    def touches(self, slab: slice) -> bool:
        """Whether it has cells in a slab of the field's first axis."""
        return bool(self.region[0].start < slab.stop and slab.start < self.region[0].stop)


def _piece(whole: Field, window: Window, logits: NDArray[np.float32]) -> _Piece:
    region = whole.region(window)
    return _Piece(region, logits, _tent(len(logits)), _ramps(whole.values, region))


def _blend(values: NDArray[np.float32], first: int, pieces: Sequence[_Piece]) -> None:
    """Put answers into a slab of a field's values, which begins at a cell of the first axis."""
    total, weight = np.zeros(values.shape), np.zeros(values.shape)
    last, count = np.zeros(values.shape, np.float32), np.zeros(values.shape, np.int64)
    share = np.zeros(values.shape, np.float32)
    for piece in pieces:
        i, j, k = piece.region
        part = slice(max(0, i.start - first), min(len(values), i.stop - first)), j, k
        own = slice(part[0].start + first - i.start, part[0].stop + first - i.start)
        logits, (x, y, z) = piece.logits[own], piece.ramps
        tent = _product(piece.tent[own], piece.tent, piece.tent)
        total[part] += tent * logits
        weight[part] += tent
        last[part] = logits
        count[part] += 1
        share[part] = np.maximum(share[part], _product(x[own], y, z).astype(np.float32))
    seen, several, known = count > 0, count > 1, ~np.isnan(values)
    mean = np.divide(total, weight, out=np.zeros_like(total), where=several).astype(np.float32)
    # What one window alone says is kept to the bit: no mean of one, no sum with 0 times another.
    new = np.where(several, mean, last)
    mixed = np.where(share < 1, share * new + (1 - share) * np.where(known, values, 0), new)
    np.copyto(values, np.where(known, mixed, new), where=seen)


def _tent(cells: int) -> NDArray[np.float64]:
    """Weight along an axis: 1 in the middle, next to nothing at the faces; float64 [cells]."""
    place = np.arange(cells) + 0.5
    weight: NDArray[np.float64] = np.minimum(place, cells - place) / (cells / 2)
    return weight


def _ramps(
    values: NDArray[np.float32], part: Region
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How much a new answer counts over old values, along each axis: float64 [L], within 0 .. 1."""
    ramps = []
    for axis in range(3):
        first, last = part[axis].start, part[axis].stop
        cells = last - first
        rim = max(1.0, cells * RIM)
        ramp = np.ones(cells)
        for beyond, place in (
            (first - 1, np.arange(cells) + 0.5),
            (last, cells - np.arange(cells) - 0.5),
        ):
            beside = list(part)
            beside[axis] = slice(max(0, beyond), beyond + 1)
            if beyond >= 0 and not np.isnan(values[tuple(beside)]).all():
                ramp = np.minimum(ramp, place / rim)
        ramps.append(ramp)
    x, y, z = ramps
    return x, y, z


def _product(
    x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]
) -> NDArray[np.float64]:
    product: NDArray[np.float64] = x[:, None, None] * y[:, None] * z
    return product
