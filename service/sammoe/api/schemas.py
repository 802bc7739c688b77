"""What requests say. They are closed and strict: an unknown member, a number as text, a boolean as
a number, NaN and Infinity are refused.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from sammoe.segmentation import MAX_POINTS, MOST_WINDOWS, Candidate, Extent, Point, Prompt, Space

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

    def extent(self) -> Extent:
        """How far the request may go."""
        return Extent(self.max_windows, self.extend, self.spacing)


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


class MaskUploadQuery(Query):
    """Of a mask that is brought."""

    label: int | None = Field(
        default=None, description="which voxels belong to it; default: all that are not 0"
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
