"""From a file to a stored volume; blocks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sammoe.bundle import file_digest as digest_of
from sammoe.errors import AffineInvalid, PacsError
from sammoe.store import (
    DoubtRecord,
    SourceRecord,
    Store,
    VolumeRecord,
    files_digest,
    now,
    upload_key,
)
from sammoe.volume.dicom.files import files_in
from sammoe.volume.limits import ReadLimits
from sammoe.volume.reading import read_volume
from sammoe.volume.volume import Volume

MAX_EXTENT_MM: Final = 4000.0
"""Longest side of a scan."""

ModalityAsked = Literal["CT", "MR", "auto"]


@dataclass(frozen=True)
class Upload:
    """A file, or a folder with a DICOM series, to add.

    Attributes
    ----------
    path
        Where it lies; it is read, not moved, and not needed afterwards.
    filename
        What its owner calls it: a hint for the format, never kept.
    modality
        What its owner says it is.
    digest
        SHA-256 (hex) of its bytes, or `files_digest`, if known already.
    series
        UIDs of the study and series that it must be, where it was asked for by them.
    project
        Whose members shall see it.
    """

    path: Path
    filename: str | None = None
    modality: ModalityAsked = "auto"
    digest: str | None = None
    series: tuple[str, str] | None = None
    project: str | None = None


def add_volume(
    store: Store, principal: str, upload: Upload, limits: ReadLimits
) -> tuple[VolumeRecord, bool]:
    """Read a scan and keep it, unless the principal has added the same file with the same words.

    Returns
    -------
    The volume's record, and whether it is new.

    Raises
    ------
    VolumeInvalid, TooLarge
        See `sammoe.volume.reading.read_volume`.
    PacsError
        It is another series than it must be.
    StoreUnavailable
        Nothing was kept.
    """
    digest = upload.digest or _digest(upload.path)
    earlier = store.volumes.of_upload(
        principal, upload_key(digest, upload.modality, upload.project)
    )
    if earlier is not None:
        return earlier, False
    volume = read_volume(
        upload.path,
        filename=upload.filename,
        modality=upload.modality,
        limits=limits,
        scratch=store.temporary_folder,
    )
    source = volume.source
    if upload.series is not None and (
        source is None or (source.study, source.series) != upload.series
    ):
        raise PacsError("The DICOMweb server sent other images than those of the series asked for.")
    return keep_volume(
        store, principal, volume, digest, modality_asked=upload.modality, project=upload.project
    )


def keep_volume(
    store: Store,
    principal: str,
    volume: Volume,
    file_digest: str,
    *,
    modality_asked: ModalityAsked = "auto",
    project: str | None = None,
) -> tuple[VolumeRecord, bool]:
    """Keep a scan that was read; as `add_volume`.

    Parameters
    ----------
    file_digest
        Names what it was read from, SHA-256 (hex).
    """
    _check_extent(volume)
    source = volume.source
    a, b, c, _ = volume.geometry.affine.tolist()
    record = VolumeRecord(
        id=store.new_id(),
        owner=principal,
        created=now(),
        file_digest=file_digest,
        content_digest=volume.content_digest(),
        shape=volume.geometry.shape,
        affine=(a, b, c, (0.0, 0.0, 0.0, 1.0)),
        dtype=volume.voxels.dtype.name,
        modality=volume.modality,
        modality_source=volume.modality_source,
        modality_asked=modality_asked,
        source=None if source is None else SourceRecord.of(source),
        notes=tuple(map(DoubtRecord.model_validate, volume.notes)),
        project=project,
    )
    kept = store.volumes.add(record, volume.voxels, None if source is None else source.pack())
    return kept, kept.id == record.id


def _check_extent(volume: Volume) -> None:
    """Refuse a scan that is larger than any scanner's: masks take memory by their size in mm."""
    geometry = volume.geometry
    sides = [n * size for n, size in zip(geometry.shape, geometry.spacing, strict=True)]
    if max(sides) > MAX_EXTENT_MM:
        raise AffineInvalid(
            f"The scan says that it is {max(sides) / 1000:.1f} m long; at most"
            f" {MAX_EXTENT_MM / 1000:g} m are taken: its spacing is in mm."
        )


def _digest(path: Path) -> str:
    if not path.is_dir():
        return digest_of(path)
    return files_digest(digest_of(file) for file in files_in(path))
