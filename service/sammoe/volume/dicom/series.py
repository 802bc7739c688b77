"""A DICOM series as a volume."""

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import DicomContrastUnclear
from sammoe.volume.dicom import notes
from sammoe.volume.dicom.files import files_of
from sammoe.volume.dicom.grid import fit_grid, tilt_degrees
from sammoe.volume.dicom.instance import Instance
from sammoe.volume.dicom.pixels import Allocate, Slice, read_values
from sammoe.volume.dicom.selection import select
from sammoe.volume.dicom.source import DicomSource, SliceSource
from sammoe.volume.geometry import Geometry
from sammoe.volume.limits import ReadLimits
from sammoe.volume.modality import guess_modality
from sammoe.volume.notes import ReadingNote
from sammoe.volume.volume import Modality, ModalitySource, Volume
from sammoe.volume.voxels import check_voxels

_TILTED_DEGREES: Final = 0.1
_MODALITIES: Final = {"CT": Modality.CT, "MR": Modality.MR}
_UID: Final = re.compile(r"[0-9][0-9.]{0,63}")


def read_series(
    path: Path,
    limits: ReadLimits,
    *,
    scratch: Path | None = None,
    allocate: Allocate = np.empty,
    processes: int = 1,
) -> Volume:
    """Read a DICOM series: in this process, so see `sammoe.volume.dicom.isolation` for others'.

    Parameters
    ----------
    path
        A file, a folder, or a zip archive.
    limits
        Largest volume to read.
    scratch
        Folder for what is unpacked; None: the system's for temporary files.
    allocate, processes
        See `read_values`.

    Returns
    -------
    Voxels [column, row, slice], slices ordered along the product of row and column direction; the
    first axis is fastest in memory.

    Raises
    ------
    DicomInvalid, ArchiveInvalid, TooLarge, AffineInvalid, NoForeground
        The series can not be used, and why; see their kinds.
    """
    with (
        _quiet(),
        files_of(path, limits, scratch) as files,
        TemporaryDirectory(prefix="sammoe-", dir=scratch) as inflated,
    ):
        instances, left_out = select(files, Path(inflated), limits)
        slices = [(instance, frame) for instance in instances for frame in instance.frames]
        pixels = instances[0].pixels
        order, affine = fit_grid([frame for _, frame in slices], pixels.rows, pixels.columns)
        slices = [slices[number] for number in order]
        geometry = Geometry((pixels.columns, pixels.rows, len(slices)), affine)

        modality = _MODALITIES.get(instances[0].modality, Modality.UNKNOWN)

        def read(inverted: bool) -> NDArray[Any]:
            values = read_values(slices, allocate, limits, inverted=inverted, processes=processes)
            return values.transpose(2, 1, 0)

        voxels, contrast = _upright(instances, modality, read)
    check_voxels(voxels)
    source = _source(slices)
    said = [*left_out, *contrast, *_odd(instances, affine)]
    if source is None:
        said.append(notes.no_uids())
    return Volume(voxels, geometry, modality, ModalitySource.TAG, source, tuple(said))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what pydicom and its decoders say of odd files: they quote values of patients."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def _upright(
    instances: list[Instance], modality: Modality, read: Callable[[bool], NDArray[Any]]
) -> tuple[NDArray[Any], list[ReadingNote]]:
    """Voxels whose contrast is the usual one.

    MONOCHROME1 says how images are to be shown, and by the standard leaves Hounsfield units as they
    are. Some writers turn the numbers round all the same, so a CT must look like one.
    """
    if not any(instance.pixels.inverted for instance in instances):
        return read(False), []
    if modality is not Modality.CT:
        return read(True), [notes.inverted()]
    for inverted, note in ((False, notes.kept()), (True, notes.inverted())):
        voxels = read(inverted)
        if guess_modality(voxels) is Modality.CT:
            return voxels, [note]
    raise DicomContrastUnclear(
        "The CT is stored as MONOCHROME1, and its values are no Hounsfield units, neither as they "
        "are nor inverted; send it as MONOCHROME2."
    )


def _odd(instances: list[Instance], affine: NDArray[np.float64]) -> list[ReadingNote]:
    found = []
    tilt = tilt_degrees(affine)
    if tilt > _TILTED_DEGREES:
        found.append(notes.gantry_tilt(tilt))
    if any(instance.lossy for instance in instances):
        found.append(notes.lossy())
    return found


def _source(slices: list[Slice]) -> DicomSource | None:
    """Where slices came from; None where their UIDs do not say it."""
    first = slices[0][0]
    uids = {first.study, first.series, *(instance.sop_instance for instance, _ in slices)}
    if not all(_UID.fullmatch(uid) for uid in uids):
        return None
    headers = {instance.sop_instance: instance.header for instance, _ in slices}
    reference = first.frame_of_reference
    return DicomSource(
        study=first.study,
        series=first.series,
        frame_of_reference=reference if _UID.fullmatch(reference) else None,
        slices=tuple(SliceSource(one.sop_instance, frame.number + 1) for one, frame in slices),
        headers=tuple(headers.values()),
    )
