"""Read a scan, whatever it is called: the format is told by the content."""

from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

from numpy.typing import NDArray

from sammoe.errors import UnsupportedFormat
from sammoe.volume.dicom.files import is_archive, is_dicom
from sammoe.volume.dicom.isolation import read_isolated
from sammoe.volume.geometry import Geometry
from sammoe.volume.grid import Grid
from sammoe.volume.limits import ReadLimits
from sammoe.volume.modality import guess_modality
from sammoe.volume.nifti import is_nifti, read_nifti
from sammoe.volume.nrrd import MAGIC, read_nrrd
from sammoe.volume.stream import as_file, open_stream
from sammoe.volume.volume import Modality, ModalitySource, Volume
from sammoe.volume.voxels import check_voxels

_START: Final = 540
_SUFFIXES: Final = (".nii", ".nii.gz", ".nrrd")


def read_volume(
    source: Path | bytes,
    *,
    filename: str | None = None,
    modality: Literal["CT", "MR", "auto"] = "auto",
    limits: ReadLimits = ReadLimits(),
    scratch: Path | None = None,
) -> Volume:
    """Read a scan: a NIfTI or NRRD file, or a DICOM series.

    Parameters
    ----------
    source
        A file, or its content. For DICOM a folder, a zip archive of one, or an image of several
        frames.
    filename
        What its sender calls it; only for a better message where the content is not understood.
    modality
        As the user says, or ``auto``: the rule of `sammoe.volume.modality`.
    limits
        Largest volume to read.
    scratch
        Folder for what is unpacked on the way; None: the system's for temporary files.

    Raises
    ------
    UnsupportedFormat, HeaderInvalid, AffineInvalid, VolumeInvalid, TooLarge, FileTruncated
        See `read_nifti` and `read_nrrd`.
    DicomInvalid, ArchiveInvalid
        See `sammoe.volume.dicom.series.read_series`.
    NoForeground
        The voxels are not finite, all equal, or none is above 0.
    """
    if isinstance(source, Path) and _holds_dicom(source):
        found = read_isolated(source, limits, scratch)
        if modality == "auto":
            return found
        return replace(found, modality=Modality(modality), modality_source=ModalitySource.USER)
    grid = read_grid(source, filename=filename, limits=limits)
    return replace(volume_of(grid.voxels, grid.geometry, modality), notes=grid.notes)


def volume_of(
    voxels: NDArray[Any], geometry: Geometry, modality: Literal["CT", "MR", "auto"] = "auto"
) -> Volume:
    """A scan of voxels that were read, and of what is said or guessed about its modality.

    Raises
    ------
    NoForeground
        The voxels are not finite, all equal, or none is above 0.
    """
    check_voxels(voxels)
    if modality != "auto":
        return Volume(voxels, geometry, Modality(modality), ModalitySource.USER)
    guessed = guess_modality(voxels)
    known = guessed is not Modality.UNKNOWN
    learnt_by = ModalitySource.RULE if known else ModalitySource.UNKNOWN
    return Volume(voxels, geometry, guessed, learnt_by)


def read_grid(
    source: Path | bytes, *, filename: str | None = None, limits: ReadLimits = ReadLimits()
) -> Grid:
    """Voxels of any content, as of a label map; see `read_volume`."""
    if isinstance(source, bytes):
        return _read(as_file(source), filename, limits)
    with source.open("rb") as file:
        return _read(file, filename, limits)


def _holds_dicom(path: Path) -> bool:
    if path.is_dir():
        return True
    with path.open("rb") as file:
        start = file.read(_START)
    return is_archive(start) or (is_dicom(start) and not is_nifti(start))


def _read(file: BinaryIO, filename: str | None, limits: ReadLimits) -> Grid:
    start = open_stream(file).read(_START)
    file.seek(0)
    if start.startswith(MAGIC) and file.read(len(MAGIC)) == MAGIC:
        file.seek(0)
        return read_nrrd(file, limits)
    if is_nifti(start):
        file.seek(0)
        return read_nifti(file, limits)
    if is_dicom(start):
        raise UnsupportedFormat("This is DICOM; a label map is read from NIfTI or NRRD alone.")
    named = (filename or "").lower().endswith(_SUFFIXES)
    content = "The file is named like NIfTI or NRRD, but its content" if named else "The content"
    raise UnsupportedFormat(f"{content} is neither NIfTI nor NRRD nor DICOM; send one of them.")
