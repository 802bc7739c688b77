"""Several masks on one grid, each with a name: what a result's files are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import StructuresOverlap
from sammoe.volume.paste import Pasted, cut

Merge = Literal["overlap", "keep_existing", "overwrite"]
"""Whose a voxel is that several structures claim: all of theirs, the first's, or the last's."""

MAX_LAYERS: Final = 8
"""Label maps of overlapping structures in one file; each takes the memory of a whole volume."""

Shape = tuple[int, int, int]
Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""


@dataclass(frozen=True)
class Code:
    """A coded concept (DICOM PS3.16); ``scheme`` SCT is SNOMED CT."""

    value: str
    meaning: str
    scheme: str = "SCT"


TISSUE: Final = Code("85756007", "Tissue")
"""What everything is of which no more is known."""

ANATOMICAL_STRUCTURE: Final = Code("123037004", "Anatomical structure")


@dataclass(frozen=True)
class Algorithm:
    """Who drew a mask: ``decoder`` is ``general`` or an expert's name.

    ``bundle``: SHA-256 (hex) of the bundle that answered.
    """

    decoder: str
    bundle: str


@dataclass(frozen=True, eq=False)
class Structure:
    """One mask with its name.

    Attributes
    ----------
    label
        For people: 1 to 64 characters.
    code, category
        What it is, and what kind of thing that is.
    colour
        To draw it in.
    tracking_uid
        DICOM UID that stays when the mask is corrected.
    algorithm
        Who drew it; None: somebody brought it.
    pasted
        Its voxels.
    """

    label: str
    code: Code
    category: Code
    colour: Colour
    tracking_uid: str
    algorithm: Algorithm | None
    pasted: Pasted


def merged(masks: Sequence[Pasted], shape: Shape, merge: Merge) -> list[Pasted]:
    """Settle which mask has the voxels that several claim; the given ones stay as they are.

    Parameters
    ----------
    masks
        In order, on a grid of ``shape``.
    """
    if merge == "overlap":
        return list(masks)
    taken = np.zeros(shape, dtype=np.bool_, order="F")
    settled: list[Pasted] = []
    for mask in masks if merge == "keep_existing" else reversed(masks):
        place = taken[_box(mask)]
        settled.append(cut(mask.mask & ~place, mask.offset))
        place |= mask.mask
    return settled if merge == "keep_existing" else settled[::-1]


def label_map(masks: Sequence[Pasted], shape: Shape) -> NDArray[np.uint8]:
    """Number voxels by their structure: uint8 [i, j, k], 0 none, 1 the first mask (of at most 255).

    Raises
    ------
    StructuresOverlap
        A voxel is in two masks; the detail says in which.
    """
    whole = np.zeros(shape, dtype=np.uint8, order="F")
    for number, mask in enumerate(masks, start=1):
        place = whole[_box(mask)]
        claimed = place[mask.mask]
        if claimed.any():
            earlier = int(claimed[claimed > 0][0])
            raise StructuresOverlap(
                f"Structures {earlier} and {number} share {np.count_nonzero(claimed)} voxels, and a"
                " label map has one number a voxel: change the result's merge to keep_existing or"
                " overwrite, or take a form that can overlap."
            )
        place[mask.mask] = number
    return whole


def layers(masks: Sequence[Pasted], shape: Shape) -> tuple[NDArray[np.uint8], list[int]]:
    """Spread masks over as few label maps as the first fit gives, so that none overlap in one.

    Returns
    -------
    uint8 [layer, i, j, k], a mask's number from 1 on within the whole; and the layer of each mask.

    Raises
    ------
    StructuresOverlap
        They would need more than `MAX_LAYERS`.
    """
    maps: list[NDArray[np.uint8]] = [np.zeros(shape, dtype=np.uint8, order="F")]
    where = []
    for number, mask in enumerate(masks, start=1):
        box = _box(mask)
        free = (n for n, there in enumerate(maps) if not there[box][mask.mask].any())
        layer = next(free, len(maps))
        if layer == MAX_LAYERS:
            raise StructuresOverlap(
                f"More than {MAX_LAYERS} structures share a voxel: change the result's merge to"
                " keep_existing or overwrite."
            )
        if layer == len(maps):
            maps.append(np.zeros(shape, dtype=np.uint8, order="F"))
        maps[layer][box][mask.mask] = number
        where.append(layer)
    return np.stack(maps), where


def _box(mask: Pasted) -> tuple[slice, slice, slice]:
    a, b, c = (slice(o, o + n) for o, n in zip(mask.offset, mask.mask.shape, strict=True))
    return a, b, c
