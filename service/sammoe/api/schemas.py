"""What goes over the wire as JSON. Requests are closed and strict: an unknown member, a number as
text, a boolean as a number, NaN and Infinity are refused.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from sammoe.segmentation import MAX_POINTS, Candidate, Point, Prompt, Space
from sammoe.store.records import SegmentationRecord, VolumeRecord
from sammoe.volume.measure import Measures
from sammoe.volume.volume import Modality

Number = Annotated[float, Field(allow_inf_nan=False)]
Position = tuple[Number, Number, Number]
Box = tuple[Position, Position]
Indices = tuple[int, int, int]
Row = tuple[float, float, float, float]
Identifier = Annotated[str, Field(examples=["06c2rl9k4d3h7q1m5t8v0a2e4g"])]


class Closed(BaseModel):
    """A part of a request."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PointIn(Closed):
    """One click."""

    position: Position = Field(description="x, y, z in the request's space")
    label: int = Field(ge=0, le=1, description="1: inside of the structure, 0: outside")


class PromptIn(Closed):
    """Where the structure is."""

    points: tuple[PointIn, ...] = Field(default=(), max_length=MAX_POINTS)
    box: Box | None = Field(
        default=None, description="first and last corner, both inside: no coordinate descends"
    )
    # After the coordinates, so that its check can see them.
    space: Space | None = Field(
        default=None,
        validate_default=True,
        description="what coordinates mean: `voxel` index of the volume (0, 0, 0 is the centre of"
        " the first voxel), or mm in `ras` (NIfTI) or `lps` (DICOM, ITK); required with points or"
        " a box",
    )

    @field_validator("space")
    @classmethod
    def _space_is_said(cls, space: Space | None, info: ValidationInfo) -> Space | None:
        if space is None and (info.data.get("points") or info.data.get("box")):
            raise PydanticCustomError("missing", "Say in which space the coordinates are")
        return space

    def prompt(self) -> Prompt:
        """The prompt as the use cases take it."""
        points = (Point(*point.position, point.label == 1) for point in self.points)
        return Prompt(tuple(points), self.box, self.space or "voxel")

    def prompt_or_none(self) -> Prompt | None:
        """The prompt, ``None`` without points and box."""
        return self.prompt() if self.points or self.box else None


class SegmentationIn(PromptIn):
    """A click: new prompts, and what they refine."""

    parent: str | None = Field(
        default=None, description="segmentation to refine; its prompts count on, its mask is prior"
    )
    expert: str = Field(
        default="auto",
        max_length=64,
        description="`auto`: the mixture decides; `general` or an expert's name: that one alone",
    )
    tau: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None, description="the gate's threshold instead of the bundle's"
    )


class EmbeddingsIn(PromptIn):
    """Where somebody is about to click; without a prompt the middle of the volume."""

    spacing: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="mm, one of the bundle's spacings"
    )


class Query(BaseModel):
    """Query parameters; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class UploadQuery(Query):
    """Of an upload."""

    modality: Literal["CT", "MR", "auto"] = Field(
        default="auto", description="`auto`: by a rule on the intensities"
    )


class PageQuery(Query):
    """Of a list."""

    cursor: str | None = Field(
        default=None,
        pattern="^[0-9a-v]{26}$",
        description="`next` of the page before; none: the newest",
    )
    limit: int = Field(default=50, ge=1, le=200)


class MaskQuery(Query):
    """Of a mask."""

    candidate: Candidate = Field(
        default="fused", description="`fused` is the answer, whatever it was made of"
    )


class Doubt(BaseModel):
    """Something that makes an answer doubtful."""

    code: str = Field(description="stable", examples=["modality_unknown"])
    detail: str


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
    warnings: tuple[Doubt, ...]

    @classmethod
    def of(cls, record: VolumeRecord) -> Self:
        """From the store's record."""
        geometry = record.geometry
        return cls(
            id=record.id,
            created=record.created,
            shape=record.shape,
            spacing=geometry.spacing,
            orientation=geometry.orientation,
            affine=record.affine,
            modality=record.modality.value,
            modality_source=record.modality_source.value,
            warnings=_doubts(record),
        )


class VolumePage(BaseModel):
    """Volumes, newest first."""

    items: tuple[VolumeOut, ...]
    next: str | None = Field(description="`cursor` of the next page; null at the end")


class EmbeddingsOut(BaseModel):
    """What is being prepared."""

    windows: int = Field(description="windows whose embeddings are at hand or being made")


class RouteOut(BaseModel):
    """What the gate said and what came of it."""

    model_config = ConfigDict(from_attributes=True)

    used: str = Field(description="`general` or an expert's name")
    fused: bool = Field(description="whether the general mask was mixed in")
    scores: dict[str, float] = Field(description="the gate's score for each expert")
    top: str | None
    s_top: float | None
    tau: float | None
    check: str | None


class WindowOut(BaseModel):
    """A cube of the volume that the networks saw."""

    model_config = ConfigDict(from_attributes=True)

    spacing: float = Field(description="mm")
    start: tuple[int, int, int] = Field(description="first voxel on the model's grid")
    side: int = Field(description="voxels")


class SegmentationOut(BaseModel):
    """One immutable answer. Its mask has an address of its own."""

    id: Identifier
    volume: str
    parent: str | None
    created: datetime
    space: Literal["voxel"] = Field(default="voxel", description="of the prompts below")
    points: tuple[PointIn, ...] = Field(description="all clicks so far")
    box: Box | None
    expert: str = Field(description="as asked")
    route: RouteOut
    candidates: tuple[str, ...] = Field(description="masks that can be fetched")
    windows: tuple[WindowOut, ...]
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


def _doubts(volume: VolumeRecord) -> tuple[Doubt, ...]:
    if volume.modality is not Modality.UNKNOWN:
        return ()
    return (
        Doubt(
            code="modality_unknown",
            detail="Nothing tells CT from MR here: intensities are used as they are. Upload with"
            " ?modality=CT or ?modality=MR.",
        ),
    )


def _segmentation(record: SegmentationRecord, volume: VolumeRecord) -> dict[str, Any]:
    prompt = record.prompt
    return {
        "id": record.id,
        "volume": record.volume_id,
        "parent": record.parent,
        "created": record.created,
        "points": [
            PointIn(position=position, label=label)
            for position, label in zip(prompt.points, prompt.labels, strict=True)
        ],
        "box": prompt.box,
        "expert": record.choice.expert,
        "route": RouteOut.model_validate(record.route),
        "candidates": record.windows[0].candidates,
        "windows": [WindowOut.model_validate(window.window) for window in record.windows],
        "bundle": record.bundle_digest,
        "timings_ms": {name: round(value, 3) for name, value in record.timings_ms.items()},
        "voxel_count": record.voxel_count,
        "volume_ml": record.voxel_count * volume.geometry.voxel_ml,
        "warnings": _doubts(volume),
    }
