"""Plain series, to be altered, and how they are read."""

from pathlib import Path
from typing import Any

from sammoe.volume.dicom.series import read_series
from sammoe.volume.limits import ReadLimits
from sammoe.volume.volume import Volume
from tests.series import (
    Series,
    ct,
    mr,
    series,
    write,
)

CT, MR = ct(), mr()
PLAIN = series(CT)
WIDE = ct((40, 36, 12))
"""Smaller images the encoder of JPEG 2000 does not take."""


def read(made: Series, folder: Path, **options: Any) -> Volume:
    return read_series(write(made, folder / "series"), ReadLimits(), **options)
