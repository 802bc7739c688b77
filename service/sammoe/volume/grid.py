"""What a file of voxels holds, before anything is known of what they mean."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sammoe.volume.geometry import Geometry
from sammoe.volume.notes import ReadingNote


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxels [i, j, k], where they lie, and what was odd about the file."""

    voxels: NDArray[Any]
    geometry: Geometry
    notes: tuple[ReadingNote, ...] = ()
