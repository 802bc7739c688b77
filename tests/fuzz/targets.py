"""What is fuzzed: each target takes any bytes, and may raise a refusal and nothing else."""

import gzip
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from sammoe.errors import SammoeError
from sammoe.store.frames import frame, parse_frame
from sammoe.store.records import SegmentationRecord
from sammoe.volume.dicom.quiet import keep_quiet
from sammoe.volume.dicom.series import read_series
from sammoe.volume.geometry import Geometry
from sammoe.volume.limits import ReadLimits
from sammoe.volume.packed import pack, unpack
from sammoe.volume.paste import Pasted
from sammoe.volume.reading import read_volume
from tests import scans
from tests.series import as_bytes, ct, enhanced, series
from tests.unit.volume.files import nrrd

LIMITS: Final = ReadLimits(max_voxels=1 << 18, max_bytes=1 << 20)
_SHAPE: Final = (12, 10, 8)


@dataclass(frozen=True)
class Target:
    """A parser, and bytes to begin from."""

    parse: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]

    def __call__(self, data: bytes) -> None:
        """Parse; a refusal is an answer."""
        try:
            self.parse(data)
        except SammoeError:
            return


def _scan(data: bytes) -> None:
    volume = read_volume(data, limits=LIMITS)
    assert np.isfinite(volume.voxels).all()
    assert np.isfinite(volume.geometry.affine).all()


def _dicom(data: bytes) -> None:
    keep_quiet()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "series").mkdir()
        (folder / "series" / "1.dcm").write_bytes(data)
        read_series(folder / "series", LIMITS, scratch=folder)


def _frame(data: bytes) -> None:
    header, payload = parse_frame(data)
    SegmentationRecord.parse(header)
    assert len(header) + len(payload) < len(data)


def _nifti_seeds() -> list[bytes]:
    plain = scans.nifti(shape=_SHAPE)
    return [plain, gzip.compress(plain, 1, mtime=0)]


def _nrrd_seeds() -> list[bytes]:
    return [nrrd()]


def _dicom_seeds() -> list[bytes]:
    made = series(ct(_SHAPE))
    return [as_bytes(made[0]), as_bytes(made[0], plain=True), as_bytes(enhanced(ct(_SHAPE))[0])]


def _packed_seeds() -> list[bytes]:
    mask = np.zeros((5, 4, 3), np.bool_, order="F")
    mask[1:3, 1:3, 1] = True
    return [pack(Pasted(mask, (2, 1, 0)), Geometry(_SHAPE, scans.AFFINE))]


def _frame_seeds() -> list[bytes]:
    return [b"".join(frame(b'{"schema_version": 2}', [b"payload"])), b"".join(frame(b"{}"))]


TARGETS: Final = {
    "nifti": Target(_scan, _nifti_seeds),
    "nrrd": Target(_scan, _nrrd_seeds),
    "dicom": Target(_dicom, _dicom_seeds),
    "packed": Target(unpack, _packed_seeds),
    "frame": Target(_frame, _frame_seeds),
}
