"""Volumes read from made-up series, and structures on them, for tests of DICOM writers."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from sammoe.volume.dicom.instances import Identity
from sammoe.volume.dicom.series import read_series
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.geometry import Geometry
from sammoe.volume.limits import ReadLimits
from sammoe.volume.paste import cut
from sammoe.volume.structures import Structure
from tests.series import write
from tests.unit.volume.structures import LIVER, SPLEEN, structure

SHAPE = (41, 37, 12)
"""Odd sizes: the bits of a frame fill no whole number of bytes."""

IDENTITY = Identity(
    series="06dt2kd4p8s2u6w0y4a8c2e6gg seg",
    content="first",
    revision=3,
    begun=datetime(2027, 1, 15, 9, 32, 11, tzinfo=UTC),
    changed=datetime(2027, 1, 15, 23, 40, 2, 125000, tzinfo=UTC),
)


def read(images: Sequence[Dataset], folder: Path) -> tuple[Geometry, DicomSource]:
    """What the reader makes of a series."""
    volume = read_series(write(images, folder), ReadLimits())
    assert volume.source is not None
    return volume.geometry, volume.source


def blobs(shape: tuple[int, int, int] = SHAPE) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two masks with ragged edges, apart from each other; the first has an empty slice within."""
    rng = np.random.default_rng(7)
    first, second = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    first[5:20, 7:17, 2:7] = rng.random((15, 10, 5)) > 0.4
    first[25:30, 3:9, 8] = True
    second[15:35, 12:30, 4:10] = rng.random((20, 18, 6)) > 0.5
    return first, second & ~first


def two(*masks: NDArray[np.bool_]) -> tuple[Structure, Structure]:
    """Structures with these masks."""
    first, second = masks
    spleen = structure("Milz größer", SPLEEN, cut(first), 1)
    return spleen, structure("Liver", LIVER, cut(second), 2)
