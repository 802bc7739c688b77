"""Records of scans, and the names that are made of what they hold."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, Self

import numpy as np

from sammoe.store.records.base import Closed, DoubtRecord, Record
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.geometry import Geometry
from sammoe.volume.volume import Modality, ModalitySource

Row = tuple[float, float, float, float]


class SourceRecord(Closed):
    """The DICOM series that a volume came from: UIDs, which are the patient's, never logged.

    `sammoe.volume.dicom.source.DicomSource`, with slices and headers, lies in a file beside.
    """

    study: str
    series: str
    frame_of_reference: str | None

    @classmethod
    def of(cls, source: DicomSource) -> Self:
        """The part of a source that the record itself holds."""
        return cls(
            study=source.study, series=source.series, frame_of_reference=source.frame_of_reference
        )


class VolumeRecord(Record):
    """A scan of one principal; its voxels lie in a file beside it.

    Attributes
    ----------
    file_digest
        SHA-256 (hex) of the uploaded bytes; of several files, `files_digest`.
    content_digest
        `Volume.content_digest`: part of the embeddings' keys, never shown to anybody.
    shape, affine
        As in `Geometry`; the affine's rows.
    dtype
        NumPy's name of the voxels' type.
    modality, modality_source
        As in `Volume`.
    modality_asked
        What the principal said when adding it.
    source
        The DICOM series that it came from, if it did.
    notes
        What the reader handled; earlier versions of the program kept none.
    project
        Whose members see it; None: its owner alone.
    """

    id: str
    file_digest: str
    content_digest: str
    shape: tuple[int, int, int]
    affine: tuple[Row, Row, Row, Row]
    dtype: str
    modality: Modality
    modality_source: ModalitySource
    modality_asked: Literal["CT", "MR", "auto"]
    source: SourceRecord | None = None
    notes: tuple[DoubtRecord, ...] = ()
    project: str | None = None

    @property
    def series(self) -> str | None:
        """`series_key` of the series that it came from, if it came from DICOM."""
        return None if self.source is None else series_key(self.source.series)

    @property
    def upload(self) -> str:
        """`upload_key` of what it was made of."""
        return upload_key(self.file_digest, self.modality_asked, self.project)

    @property
    def geometry(self) -> Geometry:
        """Shape and affine as a value."""
        return _geometry(self.shape, self.affine)


@lru_cache(maxsize=256)
def _geometry(shape: tuple[int, int, int], affine: tuple[Row, ...]) -> Geometry:
    """Remembered, for every click reads its volume's record, and checking an affine takes time."""
    return Geometry(shape, np.array(affine))


class DeletionRecord(Record):
    """A volume that is deleted: what is needed to remove all of it, and to forget its embeddings.

    Attributes
    ----------
    content, upload
        `content_key` and `upload_key` of the volume.
    project, series
        As in `VolumeRecord`.
    """

    volume_id: str
    content: str
    upload: str
    project: str | None = None
    series: str | None = None


def files_digest(digests: Iterable[str]) -> str:
    """SHA-256 (hex) of several files, from theirs (hex): in whatever order they came."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def upload_key(file_digest: str, modality_asked: str, project: str | None = None) -> str:
    """Name (SHA-256, hex) of an upload: the same file with the same words is the same volume."""
    words = [file_digest, modality_asked] + ([] if project is None else [project])
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def series_key(uid: str) -> str:
    """Name (SHA-256, hex) of a DICOM series, which tells nobody its UID."""
    return hashlib.sha256(uid.encode()).hexdigest()


def content_key(content_digest: str) -> str:
    """Name (hex) of a content: all volumes that share embeddings have it, and no others."""
    return hashlib.sha256(content_digest.encode()).hexdigest()[:32]
