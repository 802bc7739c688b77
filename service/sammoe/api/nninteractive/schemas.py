"""What nnInteractive 2.x clients send and expect, as JSON."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Range = tuple[float, float]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Empty(_In):
    """``{}``."""


class ImageProperties(BaseModel):
    """What the client says of an image; it may say more, which is not needed."""

    spacing: tuple[Finite, Finite, Finite] = (1.0, 1.0, 1.0)


class ImageMeta(_In):
    """``X-Meta`` of an image. ``spacing`` in mm, in the order of the array's axes."""

    image_properties: ImageProperties = ImageProperties()


class TargetBuffer(_In):
    """The client's mask, whose changes are answered."""

    shape: tuple[int, int, int]
    dtype: str = Field(pattern=r"^(bool|u?int(8|16|32|64))$")


class Autozoom(_In):
    """Whether the client wants masks beyond the first window."""

    do_autozoom: bool


class _Interaction(_In):
    include_interaction: bool
    run_prediction: bool = True
    override_capability_checks: bool = False


class PointIn(_Interaction):
    """A click, in array index."""

    coordinates: tuple[Finite, Finite, Finite]


class BoxIn(_Interaction):
    """A box of half-open ranges in array index, rounded; flat where a range holds one index."""

    bbox_coords: tuple[Range, Range, Range]


class MaskMeta(_In):
    """``X-Meta`` of a mask to go on from."""

    run_prediction: bool = False
    override_capability_checks: bool = False


class PredictIn(_In):
    """A request to answer what waits."""

    force_full_refine: bool = False


class Claimed(BaseModel):
    """A new lease."""

    lease_token: str
    idle_timeout_seconds: float
    liveness_timeout_seconds: float
    max_sessions: int


class Remaining(BaseModel):
    """How long a lease lasts if nobody does anything."""

    remaining_seconds: float


class LeaseStatus(Remaining):
    """The same, and how long it is from the last thing done."""

    idle_timeout_seconds: float


class SupportedInteractions(BaseModel):
    """What a viewer may offer; buttons for the rest are grey."""

    points: Literal[True] = True
    bbox2d: Literal[True] = True
    bbox3d: Literal[True] = True
    scribble: Literal[False] = False
    lasso: Literal[False] = False


class Capabilities(BaseModel):
    """What the server can do, in the client's words; channels and decay are its own matters."""

    supported_interactions: SupportedInteractions = SupportedInteractions()
    channel_mapping: dict[str, tuple[int, int]] = {"points": (0, 1), "bbox": (2, 3)}
    num_interaction_channels: Literal[4] = 4
    supports_initial_label: bool = True
    supports_zero_shot_label_refinement: bool = False
    preferred_scribble_thickness: tuple[int, int, int] = (1, 1, 1)
    interaction_decay: float = 1.0
    patch_size: tuple[int, int, int]
    do_autozoom: bool = True
    inference_session_version: str
    license: str
    supports_undo: bool = True


class ImageSet(BaseModel):
    """An image was taken: its shape as sent."""

    original_image_shape: tuple[int, ...]


class PredictionMeta(BaseModel):
    """``X-Meta`` of an answer: where its array goes, half-open ranges; null if nothing changed."""

    ran_prediction: bool
    bbox: tuple[tuple[int, int], tuple[int, int], tuple[int, int]] | None = None
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
