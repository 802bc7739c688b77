"""Which of the files make the scan: images of one series of one patient, each once."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sammoe.errors import (
    DicomFramesOfReference,
    DicomInstancesConflict,
    DicomInvalid,
    DicomNoImages,
    DicomSeveralPatients,
    DicomSeveralSeries,
    DicomSizesDiffer,
    TooLarge,
)
from sammoe.volume.dicom import notes
from sammoe.volume.dicom.archive import is_of_macos
from sammoe.volume.dicom.files import starts_as_dicom
from sammoe.volume.dicom.header import read_instance
from sammoe.volume.dicom.instance import Instance
from sammoe.volume.limits import ReadLimits
from sammoe.volume.notes import ReadingNote

_SUFFIX: Final = ".dcm"
_MAX_HEADERS: Final = 1 << 28
"""Bytes of all headers together: they are kept with the volume."""


def select(
    files: Iterable[Path], scratch: Path, limits: ReadLimits
) -> tuple[list[Instance], list[ReadingNote]]:
    """Read the headers of files and keep the images of the scan.

    Parameters
    ----------
    files, scratch, limits
        See `read_instance`.

    Returns
    -------
    At least one instance, all of one series, size and frame of reference; and what was left out.

    Raises
    ------
    DicomNoImages
        There is nothing to keep.
    DicomSeveralPatients, DicomSeveralSeries, DicomFramesOfReference, DicomSizesDiffer
        There are images of more than one.
    DicomInstancesConflict
        Two different files have the same SOP instance UID.
    DicomInvalid
        A file is damaged, or of a kind that can not be used.
    """
    found: list[Instance] = []
    others = objects = headers = 0
    for path in files:
        if not starts_as_dicom(path):
            if path.suffix.lower() == _SUFFIX and not is_of_macos(path):
                raise DicomInvalid("A file is named .dcm, but its content is no DICOM.")
            others += 1
            continue
        instance = read_instance(path, scratch, limits)
        if instance is None:
            objects += 1
            continue
        headers += len(instance.header)
        if headers > _MAX_HEADERS:
            raise TooLarge(f"The images' headers have more than {_MAX_HEADERS} bytes together.")
        found.append(instance)
    scans = [instance for instance in found if not instance.localizer] or found
    if not scans:
        raise DicomNoImages(
            f"There is no image of a scan: {objects} DICOM object(s) of other kinds and {others} "
            "other file(s)."
        )
    kept = _once(scans)
    _check_alike(kept)
    counted = (
        (others, notes.files_left_out),
        (objects, notes.objects_left_out),
        (len(found) - len(scans), notes.localizers_left_out),
        (len(scans) - len(kept), notes.duplicates_left_out),
    )
    return kept, [note(count) for count, note in counted if count]


def _once(instances: list[Instance]) -> list[Instance]:
    """Without copies of the same file."""
    by_uid: dict[str, list[Instance]] = defaultdict(list)
    for number, instance in enumerate(instances):
        by_uid[instance.sop_instance or f"none {number}"].append(instance)
    for same in by_uid.values():
        if len(same) > 1 and len({_digest(instance.path) for instance in same}) > 1:
            raise DicomInstancesConflict(
                f"{len(same)} different files have the same SOP instance UID; send the series "
                "without copies."
            )
    return [same[0] for same in by_uid.values()]


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _check_alike(instances: list[Instance]) -> None:
    patients = {instance.patient for instance in instances}
    if len(patients) > 1:
        raise DicomSeveralPatients(
            f"The {len(instances)} images belong to {len(patients)} patients (by id, name or birth "
            "date); send one patient's."
        )
    series = Counter((instance.study, instance.series) for instance in instances)
    if len(series) > 1:
        sizes = ", ".join(str(count) for _, count in series.most_common(8))
        raise DicomSeveralSeries(
            f"The {len(instances)} images belong to {len(series)} series (of {sizes} images); "
            "send one of them."
        )
    frames = Counter(instance.frame_of_reference for instance in instances)
    if len(frames) > 1:
        sizes = ", ".join(str(count) for _, count in frames.most_common(8))
        raise DicomFramesOfReference(
            f"The {len(instances)} images have {len(frames)} frames of reference (of {sizes} "
            "images): their coordinates can not be compared."
        )
    sizes_found = Counter((one.pixels.columns, one.pixels.rows) for one in instances)
    if len(sizes_found) > 1:
        listed = ", ".join(f"{c} x {r}: {n}" for (c, r), n in sizes_found.most_common(8))
        raise DicomSizesDiffer(f"The images have different numbers of pixels ({listed}).")
    modalities = {instance.modality for instance in instances}
    if len(modalities) > 1:
        raise DicomSeveralSeries(f"The images are of {len(modalities)} modalities; send one.")
