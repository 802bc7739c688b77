"""What requests say. They are closed and strict: an unknown member, a number as text, a boolean as
a number, NaN and Infinity are refused.
"""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from sammoe.segmentation import (
    MAX_ENTRIES,
    MAX_POINTS,
    MOST_WINDOWS,
    Candidate,
    DicomForm,
    Entry,
    Extent,
    Point,
    Prompt,
    Space,
)
from sammoe.volume.structures import Code, Merge

Number = Annotated[float, Field(allow_inf_nan=False)]
Position = tuple[Number, Number, Number]
Box = tuple[Position, Position]


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

    candidate: Candidate = Field(
        default="fused", description="which of the parent's masks to refine; `fused` is the answer"
    )
    extend: bool = Field(
        default=True, description="whether a mask is followed where it goes on beyond a window"
    )
    max_windows: int = Field(
        default=8, ge=1, le=MOST_WINDOWS, description="how many windows may be looked at"
    )
    spacing: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None,
        description="mm, one of the bundle's spacings; default: the parent's, else by the box,"
        " else by the modality",
    )

    zoom: bool = Field(
        default=False,
        description="whether a first prompt of points may be looked at at the bundle's next coarser"
        " spacing, too, where following it would take more than half of `max_windows`",
    )

    def extent(self) -> Extent:
        """How far the request may go."""
        return Extent(self.max_windows, self.extend, self.spacing, self.zoom)


Uid = Annotated[str, Field(pattern=r"^[0-9][0-9.]{0,63}$", examples=["1.2.826.0.1.3680043.8.498"])]
ServerName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


class DicomWebIn(Closed):
    """A series of a DICOMweb server."""

    study: Uid = Field(description="StudyInstanceUID")
    series: Uid = Field(description="SeriesInstanceUID")
    server: ServerName | None = Field(
        default=None, description="one of `dicomweb` in the capabilities; none: the first of them"
    )


class VolumeIn(Closed):
    """A scan that the service shall get itself."""

    dicomweb: DicomWebIn


class StudyIn(Closed):
    """A study that is complete."""

    study: Uid = Field(description="StudyInstanceUID")
    server: ServerName | None = Field(default=None, description="as for a volume")


class SeriesQueryIn(Closed):
    """Which series are looked for."""

    server: ServerName | None = Field(default=None, description="as for a volume")
    study: Uid | None = Field(default=None, description="StudyInstanceUID")
    modality: str | None = Field(default=None, pattern="^[A-Z]{2,16}$", examples=["CT"])
    since: date | None = Field(default=None, description="first day of the study")
    until: date | None = Field(default=None, description="last day of the study")
    offset: int = Field(default=0, ge=0, le=1_000_000, description="studies to leave out")
    limit: int = Field(default=100, ge=1, le=500, description="studies to look through")


class EmbeddingsIn(PromptIn):
    """Where somebody is about to click; without a prompt the middle of the volume, or all of it."""

    spacing: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="mm, one of the bundle's spacings"
    )
    budget_mib: int | None = Field(
        default=None,
        ge=1,
        le=1 << 20,
        description="of a whole volume, MiB that its embeddings may take; at most, and by default,"
        " half of the service's memory for embeddings",
    )
    # After the others, so that its check can see them.
    extent: Literal["window", "whole"] = Field(
        default="window",
        validate_default=True,
        description="`window`: that of a first click; `whole`: those that most clicks on the body"
        " would take",
    )

    @field_validator("extent")
    @classmethod
    def _goes_with_the_rest(cls, extent: str, info: ValidationInfo) -> str:
        given = {name for name, value in info.data.items() if value}
        if extent == "window" and "budget_mib" in given:
            raise PydanticCustomError("budget", "A budget is for the extent `whole`")
        if extent == "whole" and given & {"points", "box", "space", "spacing"}:
            raise PydanticCustomError("whole", "A whole volume needs no prompt and no spacing")
        return extent

    def budget(self, most: int) -> int:
        """Bytes for the embeddings of a whole volume, of ``most``."""
        return most if self.budget_mib is None else min(most, self.budget_mib << 20)


# What DICOM's LO and SH can hold: no control character, no backslash, no space at the ends.
_TEXT = r"^[^\s\\]([^\x00-\x1f\x7f-\x9f\\]*[^\s\\])?$"
_NAME = r"^[A-Za-z0-9._-]+$"

Part = Annotated[int, Field(ge=0, le=255)]


class CodeIn(Closed):
    """A coded concept."""

    value: str = Field(max_length=16, pattern=_NAME, description="as in the scheme")
    # Viewers' formats put ^, ~ and | between the parts of a code.
    meaning: str = Field(
        max_length=64, pattern=r"^[^\s\\^~|]([^\x00-\x1f\x7f-\x9f\\^~|]*[^\s\\^~|])?$"
    )
    scheme: str = Field(default="SCT", max_length=16, pattern=_NAME, description="`SCT`: SNOMED CT")

    def code(self) -> Code:
        """The code as the use cases take it."""
        return Code(self.value, self.meaning, self.scheme)


class EntryIn(Closed):
    """One structure of a result."""

    segmentation: str = Field(description="id of a segmentation of this volume")
    candidate: Candidate = Field(
        default="fused", description="which of its masks; one but the answer was fetched before"
    )
    label: str = Field(min_length=1, max_length=64, pattern=_TEXT, description="for people")
    code: CodeIn | None = Field(
        default=None, description="what it is; none: as the expert says that drew it, else tissue"
    )
    category: CodeIn | None = Field(
        default=None, description="what kind of thing that is; none: an anatomical structure"
    )
    colour: tuple[Part, Part, Part] | None = Field(
        default=None, description="red, green, blue, 0 to 255; none: by its place"
    )

    def draft(self) -> Entry:
        """The entry as the use cases take it."""
        code = None if self.code is None else self.code.code()
        category = None if self.category is None else self.category.code()
        return Entry(self.segmentation, self.label, code, category, self.colour, self.candidate)


class ResultIn(Closed):
    """Structures of one volume, in order."""

    entries: tuple[EntryIn, ...] = Field(max_length=MAX_ENTRIES, json_schema_extra={"minItems": 1})
    merge: Merge = Field(
        default="overlap",
        description="whose a voxel is that several claim: of all of them (`overlap`), of the"
        " earlier entry (`keep_existing`), or of the later one (`overwrite`)",
    )

    @field_validator("entries")
    @classmethod
    def _there_are_some(cls, entries: tuple[EntryIn, ...]) -> tuple[EntryIn, ...]:
        # Not by min_length, which counts only entries that are as they should be.
        if not entries:
            raise PydanticCustomError("too_short", "Name at least one structure")
        return entries

    def drafts(self) -> tuple[Entry, ...]:
        """The entries as the use cases take them."""
        return tuple(entry.draft() for entry in self.entries)


class StoreIn(Closed):
    """Which files of a result go to which server."""

    forms: tuple[DicomForm, ...] = Field(
        default=("seg",),
        min_length=1,
        max_length=3,
        description="in the order of sending; each once",
    )
    server: ServerName | None = Field(default=None, description="as for a volume")

    @field_validator("forms")
    @classmethod
    def _each_once(cls, forms: tuple[DicomForm, ...]) -> tuple[DicomForm, ...]:
        if len(set(forms)) < len(forms):
            raise PydanticCustomError("not_unique", "Name each form once")
        return forms


class Query(BaseModel):
    """Query parameters; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class UploadQuery(Query):
    """Of an upload."""

    modality: Literal["CT", "MR", "auto"] = Field(
        default="auto", description="`auto`: by a rule on the intensities"
    )
    project: str | None = Field(
        default=None, description="whose members shall see it; one of the caller's own projects"
    )


class MaskUploadQuery(Query):
    """Of a mask that is brought."""

    # What 32 bits hold, signed or not: a number that no float holds can be compared with none.
    label: int | None = Field(
        default=None,
        ge=-(2**31),
        lt=2**32,
        description="which voxels belong to it; default: all that are not 0",
    )


class PageQuery(Query):
    """Of a list."""

    cursor: str | None = Field(
        default=None,
        pattern="^[0-9a-v]{26}$",
        description="`next` of the page before; none: the newest",
    )
    limit: int = Field(default=50, ge=1, le=200)


class VolumesQuery(PageQuery):
    """Of the list of volumes."""

    project: str | None = Field(
        default=None, description="those of this project, whoever owns them; none: the caller's own"
    )


class MaskQuery(Query):
    """Of a mask."""

    candidate: Candidate = Field(
        default="fused", description="`fused` is the answer, whatever it was made of"
    )


class StructureQuery(Query):
    """Of a result's file."""

    structure: int | None = Field(
        default=None, ge=1, le=MAX_ENTRIES, description="number of the only one; none: all"
    )


class SegQuery(Query):
    """Of a DICOM SEG."""

    form: Literal["BINARY", "LABELMAP"] = Field(
        default="BINARY",
        description="`BINARY`: a bit a voxel and structure, known everywhere; `LABELMAP`: a number"
        " a voxel, new in 2024, without overlaps",
    )
