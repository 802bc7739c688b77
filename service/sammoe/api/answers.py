"""What answers say as JSON, made from the store's records."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from sammoe.api.schemas import Box, PointIn
from sammoe.segmentation import Candidate, DicomForm, StoredFile, WarmUp
from sammoe.segmentation.doubts import MODALITY_UNKNOWN
from sammoe.store.records import ResultRecord, SegmentationRecord, VolumeRecord, WindowRecord
from sammoe.volume.measure import Measures
from sammoe.volume.structures import Merge
from sammoe.volume.volume import Modality

Indices = tuple[int, int, int]
Row = tuple[float, float, float, float]
Identifier = Annotated[str, Field(examples=["06dt2k9m3g1v8s5b0hf4q7n2ac"])]


class Doubt(BaseModel):
    """Something that makes an answer doubtful."""

    model_config = ConfigDict(from_attributes=True)

    code: str = Field(description="stable", examples=["modality_unknown"])
    detail: str


class SourceOut(BaseModel):
    """The DICOM series that a scan came from, by its UIDs."""

    model_config = ConfigDict(from_attributes=True)

    study: str
    series: str
    frame_of_reference: str | None


class VolumeOut(BaseModel):
    """A scan."""

    id: Identifier
    created: datetime
    shape: tuple[int, int, int] = Field(description="voxels along i, j, k")
    spacing: tuple[float, float, float] = Field(description="mm along i, j, k")
    orientation: str = Field(description="where i, j, k point to", examples=["LPS"])
    affine: tuple[Row, Row, Row, Row] = Field(description="voxel index (i, j, k, 1) to RAS+ mm")
    modality: Literal["CT", "MR", "unknown"]
    modality_source: Literal["tag", "rule", "user", "unknown"]
    source: SourceOut | None = Field(description="null for a scan that is not from DICOM")
    project: str | None = Field(description="whose members see it; null: its owner alone")
    warnings: tuple[Doubt, ...] = Field(
        description="what the reader handled, and what makes answers doubtful"
    )

    @classmethod
    def of(cls, record: VolumeRecord) -> Self:
        """From the store's record."""
        geometry = record.geometry
        unknown = (MODALITY_UNKNOWN,) if record.modality is Modality.UNKNOWN else ()
        return cls(
            id=record.id,
            created=record.created,
            shape=record.shape,
            spacing=geometry.spacing,
            orientation=geometry.orientation,
            affine=record.affine,
            modality=record.modality.value,
            modality_source=record.modality_source.value,
            source=None if record.source is None else SourceOut.model_validate(record.source),
            project=record.project,
            warnings=tuple(map(Doubt.model_validate, (*unknown, *record.notes))),
        )


class VolumePage(BaseModel):
    """Volumes, newest first."""

    items: tuple[VolumeOut, ...]
    next: str | None = Field(description="`cursor` of the next page; null at the end")


class SeriesOut(BaseModel):
    """A series that a DICOMweb server has."""

    model_config = ConfigDict(from_attributes=True)

    study: str
    series: str
    modality: str
    study_date: date | None
    instances: int | None = Field(description="null where the server does not say it")


class SeriesPage(BaseModel):
    """Series of the studies looked through."""

    items: tuple[SeriesOut, ...]
    next: int | None = Field(description="`offset` of the next page; null at the end")


class StudyOut(BaseModel):
    """A study that will be warmed."""

    waiting: int = Field(description="studies that wait, this one included")


class EmbeddingsOut(BaseModel):
    """What is being prepared."""

    windows: int = Field(description="windows whose embeddings are at hand or being made")
    covered: float | None = Field(
        default=None, description="of a whole volume: share of clicks on the body that find one"
    )
    mib: float | None = Field(default=None, description="of a whole volume: of all embeddings")
    minutes: float | None = Field(
        default=None, description="of a whole volume: about, if nothing else is done meanwhile"
    )

    @classmethod
    def of(cls, planned: WarmUp, seconds: float) -> Self:
        """Of a whole volume; ``seconds``: of one window."""
        windows = len(planned.windows)
        mib, minutes = planned.size / (1 << 20), round(windows * seconds / 60, 2)
        return cls(windows=windows, covered=round(planned.covered, 3), mib=mib, minutes=minutes)


class RouteOut(BaseModel):
    """What the gate said and what came of it."""

    model_config = ConfigDict(from_attributes=True)

    used: str = Field(description="`general` or an expert's name")
    fused: bool = Field(description="whether the general mask was mixed in")
    scores: dict[str, float] = Field(
        description="the gate's score for each expert; with `parent`, what was said of that counts"
    )
    top: str | None = Field(
        description="expert that may answer: best by score among those for the scan's modality,"
        " or of two that are close the one whose mask fits the box better"
    )
    s_top: float | None = Field(description="best score among those")
    rival: str | None = Field(
        description="expert with the best score beside `top`, among those for the scan's modality:"
        " its mask is the candidate `rival`"
    )
    tau: float | None = Field(description="what s_top had to exceed")
    check: str | None = Field(
        description="whether the expert's mask fits the prompt: `accepted`, `rejected`, or `failed`"
        " where its decoder gave none; null where none was made"
    )
    agreement: float | None = Field(description="Dice of the general mask and the expert's")
    distance: float | None = Field(description="from the prompts that the model was tested with")


class WindowOut(BaseModel):
    """A cube of the volume that the networks saw."""

    model_config = ConfigDict(from_attributes=True)

    spacing: float = Field(description="mm")
    start: tuple[int, int, int] = Field(description="first voxel on the model's grid")
    side: int = Field(description="voxels")
    kept: bool = Field(
        description="whether its answer became part of the mask: a neighbour's that contradicts"
        " what was known does not"
    )

    @classmethod
    def of(cls, record: WindowRecord) -> Self:
        """From the store's record."""
        window = record.window
        return cls(spacing=window.spacing, start=window.start, side=window.side, kept=record.kept)


class SegmentationOut(BaseModel):
    """One immutable answer. Its mask has an address of its own."""

    id: Identifier
    volume: str
    parent: str | None
    refined: Candidate | None = Field(description="which of the parent's masks was refined")
    created: datetime
    space: Literal["voxel"] = Field(default="voxel", description="of the prompts below")
    points: tuple[PointIn, ...] = Field(description="all clicks so far")
    box: Box | None
    expert: str = Field(description="as asked")
    route: RouteOut
    candidates: tuple[str, ...] = Field(description="masks that can be fetched")
    windows: tuple[WindowOut, ...] = Field(description="looked at for this answer, in order")
    encodes: int = Field(description="windows whose embeddings were not at hand")
    bundle: str = Field(description="SHA-256 of the bundle that answered")
    timings_ms: dict[str, float]
    voxel_count: int
    volume_ml: float
    warnings: tuple[Doubt, ...]

    @classmethod
    def of(cls, record: SegmentationRecord, volume: VolumeRecord) -> Self:
        """From the store's records."""
        return cls(**_segmentation(record, volume))


class DiametersOut(BaseModel):
    """The longest diameter in any axial slice, and the longest across it in that slice."""

    model_config = ConfigDict(from_attributes=True)

    longest_mm: float
    perpendicular_mm: float
    slice_axis: int = Field(description="axis of the volume, 0 to 2, that is nearest to head-feet")
    slice_index: int = Field(description="voxel index of the slice on it")


class MeasuredOut(SegmentationOut):
    """An answer with its sizes."""

    diameters: DiametersOut | None = Field(description="null for an empty mask")
    bounding_box: tuple[Indices, Indices] | None = Field(
        description="first and last voxel index of the mask; null for an empty one"
    )

    @classmethod
    def measured(cls, record: SegmentationRecord, volume: VolumeRecord, measures: Measures) -> Self:
        """From the store's records and the mask's measures."""
        found = measures.diameters
        diameters = None if found is None else DiametersOut.model_validate(found)
        return cls(**_segmentation(record, volume), diameters=diameters, bounding_box=measures.box)


class SegmentationPage(BaseModel):
    """Segmentations of one volume, newest first."""

    items: tuple[SegmentationOut, ...]
    next: str | None = Field(description="`cursor` of the next page; null at the end")


class CodeOut(BaseModel):
    """A coded concept."""

    model_config = ConfigDict(from_attributes=True)

    scheme: str = Field(examples=["SCT"])
    value: str
    meaning: str


class EntryOut(BaseModel):
    """One structure of a result."""

    number: int = Field(description="what the voxels of a label map say")
    segmentation: str
    candidate: Candidate = Field(description="which of its masks")
    label: str
    code: CodeOut
    category: CodeOut
    colour: tuple[int, int, int] = Field(description="red, green, blue, 0 to 255")
    tracking_uid: str = Field(description="DICOM UID; stays when the structure is corrected")


class ResultOut(BaseModel):
    """Named structures of one volume. Its files have addresses of their own."""

    id: Identifier
    volume: str
    created: datetime
    changed: datetime
    revision: int = Field(description="1 when new, one more with every change")
    merge: Merge
    entries: tuple[EntryOut, ...]

    @classmethod
    def of(cls, record: ResultRecord) -> Self:
        """From the store's record."""
        return cls(
            id=record.id,
            volume=record.volume_id,
            created=record.created,
            changed=record.changed,
            revision=record.revision,
            merge=record.merge,
            entries=tuple(
                EntryOut(
                    number=number,
                    segmentation=entry.segmentation,
                    candidate=entry.candidate,
                    label=entry.label,
                    code=CodeOut.model_validate(entry.code),
                    category=CodeOut.model_validate(entry.category),
                    colour=entry.colour,
                    tracking_uid=entry.tracking_uid,
                )
                for number, entry in enumerate(record.entries, start=1)
            ),
        )


class ResultPage(BaseModel):
    """Results of one volume, newest first."""

    items: tuple[ResultOut, ...]
    next: str | None = Field(description="`cursor` of the next page; null at the end")


class StoredOut(BaseModel):
    """A file of a result that is in the PACS."""

    form: DicomForm
    study: str
    series: str
    instance: str = Field(description="SOP Instance UID")
    warning: str | None = Field(
        description="the server's Warning Reason (DICOM PS3.3, C.14), hexadecimal; mostly null"
    )

    @classmethod
    def of(cls, stored: StoredFile) -> Self:
        """From the use case's value."""
        file, warning = stored.file, stored.warning
        return cls(
            form=stored.form,
            study=file.study,
            series=file.series,
            instance=file.instance,
            warning=None if warning is None else f"{warning:04X}",
        )


class StoredPage(BaseModel):
    """What was sent, in that order: all of it is stored."""

    items: tuple[StoredOut, ...]


def _segmentation(record: SegmentationRecord, volume: VolumeRecord) -> dict[str, Any]:
    prompt = record.prompt
    return {
        "id": record.id,
        "volume": record.volume_id,
        "parent": record.parent,
        "refined": None if record.parent is None else record.refined,
        "created": record.created,
        "points": [
            PointIn(position=position, label=label)
            for position, label in zip(prompt.points, prompt.labels, strict=True)
        ],
        "box": prompt.box,
        "expert": record.choice.expert,
        "route": RouteOut.model_validate(record.route),
        "candidates": record.candidates,
        "windows": [WindowOut.of(window) for window in record.windows],
        "encodes": record.encodes,
        "bundle": record.bundle_digest,
        "timings_ms": {name: round(value, 3) for name, value in record.timings_ms.items()},
        "voxel_count": record.voxel_count,
        "volume_ml": round(record.voxel_count * volume.geometry.voxel_ml, 6),
        "warnings": [Doubt.model_validate(doubt) for doubt in record.warnings],
    }
