"""What is kept: records as closed, frozen values with an owner and a schema version."""

import hashlib
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic import Field as Member

from sammoe.errors import StoreUnavailable
from sammoe.store.frames import damaged
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.field import Field
from sammoe.volume.geometry import Geometry
from sammoe.volume.structures import Merge
from sammoe.volume.volume import Modality, ModalitySource
from sammoe.volume.window import Window

SCHEMA_VERSION: Final = 1
"""Version of the store's form, and of those records that say no other."""

RoleName = Literal["reader", "segmenter", "admin"]

Triple = tuple[float, float, float]
Row = tuple[float, float, float, float]
Logits = Mapping[str, NDArray[np.float32]]
"""Candidate name -> logits float32 [L, L, L] of one window, canonical axis order."""

Fields = Mapping[str, Field]
"""Candidate name -> its field."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Versioned(_Closed):
    """What every record has: the version of its form.

    ``versions``: those that this code reads.
    """

    versions: ClassVar[tuple[int, ...]] = (SCHEMA_VERSION,)

    schema_version: int = SCHEMA_VERSION

    @field_validator("schema_version")
    @classmethod
    def _is_known(cls, version: int) -> int:
        if version not in cls.versions:
            raise ValueError("not a version that is read")
        return version

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read a record's JSON.

        Raises
        ------
        StoreUnavailable
            A newer version of the program wrote it, or it is damaged.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                version = problem["input"]
                if problem["loc"] == ("schema_version",) and isinstance(version, int):
                    raise StoreUnavailable(
                        f"A stored record has schema version {version}; this program reads"
                        f" {cls.versions[-1]}: use the version of sammoe that wrote it, or newer.",
                        record=True,
                    ) from error
            raise damaged() from error


class Record(Versioned):
    """What somebody's record has: ``owner`` is the principal, ``created`` is UTC."""

    owner: str
    created: datetime


_STARTED: Final = datetime.now(UTC)
_STARTED_AT: Final = time.monotonic()


def now() -> datetime:
    """Return the time of now in UTC, to the millisecond.

    The clock's as it was when the process began, and what has gone by since then: a clock that is
    set while it runs ends no lease and makes nothing too old.
    """
    moment = _STARTED + timedelta(seconds=time.monotonic() - _STARTED_AT)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class DoubtRecord(_Closed):
    """Something that makes an answer doubtful: a stable code, and words for people."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    detail: str


class SourceRecord(_Closed):
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


class PromptRecord(_Closed):
    """All prompts so far, in source voxel index; ``box`` holds its first and last corner."""

    points: tuple[Triple, ...] = ()
    labels: tuple[Literal[0, 1], ...] = ()
    box: tuple[Triple, Triple] | None = None


class ChoiceRecord(_Closed):
    """What was asked of the mixture: ``auto``, ``general`` or an expert, and perhaps a tau."""

    model_config = ConfigDict(from_attributes=True)

    expert: str
    tau: float | None


GIVEN: Final = "given-mask"
"""In a route: no decoder made the mask, somebody brought it. No expert can be called so."""


class RouteRecord(_Closed):
    """What the gate said and what came of it; the fields of `sammoe.engine.Route`."""

    model_config = ConfigDict(from_attributes=True)

    used: str
    fused: bool
    scores: dict[str, float]
    top: str | None
    s_top: float | None
    tau: float | None
    check: str | None
    agreement: float | None = None
    distance: float | None = None


class WindowRecord(_Closed):
    """A window that was looked at.

    Attributes
    ----------
    window
        Where it lies.
    candidates
        Names of the masks that were computed in it; in records of version 1 in the file's order.
    cells
        Side L of each.
    kept
        Whether its answer became part of the segmentation: a neighbour's that contradicts what was
        known does not.
    """

    window: Window
    candidates: tuple[str, ...]
    cells: int
    kept: bool = True


class FieldRecord(_Closed):
    """Where candidates that were computed in the same windows lie in the file.

    They are cut into cubic blocks of cells, and only blocks of which something is known are kept:
    of each candidate in turn, each block in turn, [b, b, b], NaN where nothing is known.

    Attributes
    ----------
    candidates
        Their names.
    spacing, patch
        As in `sammoe.volume.field.Field`.
    start
        Model voxel at which block (0, 0, 0) begins.
    side
        Cells along a block's side, b.
    blocks
        Each block's place, in blocks; may be negative.
    """

    candidates: tuple[str, ...]
    spacing: float
    patch: int
    start: tuple[int, int, int]
    side: int
    blocks: tuple[tuple[int, int, int], ...]


class ExtentRecord(_Closed):
    """How far a request may go: at most so many windows; ``extend``: beyond its own at all.

    ``spacing``: of the model grid, mm, where the request says one. ``zoom``: whether it might look
    through coarser windows, too.
    """

    model_config = ConfigDict(from_attributes=True)

    max_windows: int
    extend: bool
    spacing: float | None = None
    zoom: bool = False


class SegmentationRecord(Record):
    """One immutable answer; the logits lie in the same file.

    Attributes
    ----------
    parent
        Id of the segmentation that this one refines, or None.
    prompt
        All clicks so far.
    windows
        Those of this request, in the order in which they were looked at; the first is the one
        that the next click starts from.
    fields
        What the file holds. None in records of version 1: their file holds the candidates of
        their one window.
    encodes
        How many windows had to be embedded for it.
    seeds
        How many of the windows the prompt took itself; the others were followed to.
    refined
        Which of the parent's masks was refined.
    extent
        How far it might go; None in records of version 1, which had one window.
    bundle_digest
        Of the bundle that answered.
    timings_ms
        Phase -> milliseconds, of the phases before this record was written.
    voxel_count
        Voxels of the answer on the volume's own grid.
    warnings
        What makes the answer doubtful; earlier versions of the program kept none.
    """

    versions = (1, 2)

    schema_version: int = 2
    id: str
    volume_id: str
    parent: str | None
    prompt: PromptRecord
    windows: tuple[WindowRecord, ...]
    fields: tuple[FieldRecord, ...] | None = None
    encodes: int = 0
    seeds: int = 1
    refined: str = "fused"
    extent: ExtentRecord | None = None
    route: RouteRecord
    choice: ChoiceRecord
    bundle_digest: str
    timings_ms: dict[str, float]
    voxel_count: int
    warnings: tuple[DoubtRecord, ...] = ()

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of the masks that are kept."""
        if self.fields is None:
            return self.windows[0].candidates
        return tuple(name for place in self.fields for name in place.candidates)

    @property
    def experts(self) -> set[str]:
        """Experts that its bundle is known to have had: named, or scored by the gate."""
        return {self.choice.expert, *self.route.scores}


class DrawnRecord(_Closed):
    """What a viewer has drawn of one structure.

    Attributes
    ----------
    segmentation
        The last answer, or a mask that the viewer brought.
    prompt
        What is not answered yet.
    brought
        First and last voxel of a mask that was brought: within them the viewer's mask is its own,
        not quite that of the segmentation made of it.
    """

    segmentation: str | None = None
    prompt: PromptRecord = PromptRecord()
    brought: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None


class LeaseRecord(Record):
    """A viewer that is connected, by a protocol that keeps its state at the server.

    Attributes
    ----------
    token_digest
        SHA-256 (hex) of the secret that the viewer shows.
    used, seen
        When a person last did something, and when the viewer last gave a sign of life (UTC).
    volume_id
        The scan that the viewer has sent, which is deleted with the lease.
    drawn, before
        The structure of now, and what it was before the last prompt; None where there is nothing
        to undo.
    """

    id: str
    token_digest: str
    used: datetime
    seen: datetime
    volume_id: str | None = None
    drawn: DrawnRecord = DrawnRecord()
    before: DrawnRecord | None = None


class KeyRecord(Record):
    """An API key of a principal's; the key itself is kept nowhere.

    Attributes
    ----------
    id
        Part of the key, by which it can be recognised.
    digest
        SHA-256 (hex) of the key.
    role, projects
        As in `sammoe.access.Identity`, by the roles' names.
    expires
        When it ends, UTC; None: never.
    revoked
        Not of this record, but of a file beside it.
    """

    id: str
    digest: str
    role: RoleName
    projects: dict[str, RoleName] = {}
    expires: datetime | None = None
    revoked: bool = False


class ResponseRecord(Record):
    """An answer kept for an Idempotency-Key; its body is the file's payload.

    ``request_digest`` tells whether the key is used with the same request again; ``volume_id``,
    which volume the answer is about, and goes with; ``volume_owner``, whose that is, if another's.
    """

    request_digest: str
    volume_id: str | None = None
    volume_owner: str | None = None
    status: int
    headers: dict[str, str]


class PromiseRecord(Record):
    """The id that a request under an Idempotency-Key gives to what it makes."""

    request_digest: str
    name: str


class CodeRecord(_Closed):
    """A coded concept; the fields of `sammoe.volume.structures.Code`."""

    model_config = ConfigDict(from_attributes=True)

    value: str
    meaning: str
    scheme: str


class EntryRecord(_Closed):
    """One structure of a result; ``segmentation`` is an id, the rest as in `Structure`.

    Attributes
    ----------
    candidate
        Which of the segmentation's masks it is. The answer is not written down, so that records of
        before, and the UIDs that are made of them, stay as they are.
    """

    segmentation: str
    candidate: Literal["fused", "general", "expert"] = Member(
        default="fused", exclude_if=lambda candidate: candidate == "fused"
    )
    label: str
    code: CodeRecord
    category: CodeRecord
    colour: tuple[int, int, int]
    tracking_uid: str


class ResultRecord(Record):
    """Named structures of one volume, in order.

    Attributes
    ----------
    changed
        When it was last changed, UTC.
    revision
        1 when new, one more with every change.
    merge
        Whose a voxel is that several entries claim.
    """

    id: str
    volume_id: str
    changed: datetime
    revision: int
    merge: Merge
    entries: tuple[EntryRecord, ...]


class ReleaseRecord(_Closed):
    """A bundle, when it was made the active one (UTC), and by whom: a user on a machine."""

    digest: str
    name: str
    since: datetime
    by: str


class PublishedRecord(Versioned):
    """The active bundle, and those before it, newest first."""

    active: ReleaseRecord
    before: tuple[ReleaseRecord, ...] = ()
