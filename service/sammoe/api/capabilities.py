"""What the service can do, as JSON."""

from typing import Final, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, Field

from sammoe import __version__
from sammoe.api.answers import CodeOut
from sammoe.api.negotiation import MASKS
from sammoe.api.uploads import FORM, OCTETS
from sammoe.bundle import Bundle, PromptKind
from sammoe.segmentation import MAX_POINTS, MOST_WINDOWS
from sammoe.settings import Settings

T = TypeVar("T")

NOTICE: Final = "Research use only. Not a medical device."


class ExpertOut(BaseModel):
    """A decoder for one task."""

    name: str
    label: str
    codes: tuple[CodeOut, ...]
    modalities: tuple[Literal["CT", "MR"], ...]
    training_data: str
    licence: str
    classes: tuple[str, ...] = Field(description="names of what it segments in data sets")


class BundleOut(BaseModel):
    """The weights that answer."""

    name: str
    digest: str = Field(description="SHA-256 of the manifest, which has one for every file")
    source: str
    training_data: str
    licence: str


class ByPrompt(BaseModel, Generic[T]):
    """One value for each kind of prompt."""

    box: T = Field(description="with a box, whatever else there is")
    click: T = Field(description="one click in all")
    clicks: T = Field(description="several clicks and no box")


class RoutingOut(BaseModel):
    """How the gate's scores become an answer."""

    gate: Literal["heads", "joint", "paper"] = Field(description="kind of gate")
    fusion: Literal["probability", "logit"] = Field(description="what of two masks is mixed")
    tau: ByPrompt[float] = Field(description="what the best expert's score must exceed")
    slack: ByPrompt[float | None] = Field(
        description="how much worse than the general mask the expert's may fit the prompt (box:"
        " share of its side; click: logits; clicks: mean of -log p); null: no check"
    )
    own_slack: dict[str, dict[PromptKind, float | None]] = Field(
        default={}, description="by expert and kind of prompt, in place of `slack`"
    )
    agreement: float | None = Field(description="below it: `candidates_disagree`")
    distance: float | None = Field(description="beyond it: `far_from_training`")


class SpacingOut(BaseModel):
    """One scale at which the networks can look."""

    spacing_mm: float
    width_mm: float = Field(description="of the cube seen at once")


class PromptsOut(BaseModel):
    """What a request may show."""

    points: Literal[True] = True
    boxes: Literal["native", "mapped"] = Field(
        description="`mapped`: the weights know no boxes, so one is shown to them as a click in its"
        " middle and an ellipsoid to start from"
    )
    spaces: tuple[str, ...] = ("voxel", "ras", "lps")


class FormatsOut(BaseModel):
    """Media types."""

    upload: tuple[str, ...]
    scans: tuple[str, ...] = ("NIfTI-1", "NIfTI-2", "NRRD", "DICOM")
    mask: tuple[str, ...]


class LimitsOut(BaseModel):
    """What is refused with 413 or 422 beyond."""

    upload_bytes: int
    json_bytes: int
    points: int = Field(description="in all clicks of one segmentation together")
    requests_at_once: int
    windows: int = Field(description="that one request may look at")


class Capabilities(BaseModel):
    """What this service can do."""

    version: str
    notice: str = NOTICE
    bundle: BundleOut
    routing: RoutingOut | None = Field(description="null without experts")
    window_voxels: int = Field(description="side of the cube that the networks see")
    spacings: tuple[SpacingOut, ...]
    experts: tuple[ExpertOut, ...]
    prompts: PromptsOut
    formats: FormatsOut
    dicomweb: tuple[str, ...] = Field(
        description="names of the DICOMweb servers that series are read from, the default one first"
    )
    limits: LimitsOut

    @classmethod
    def of(cls, bundle: Bundle, settings: Settings, servers: tuple[str, ...]) -> Self:
        """From the bundle's manifest, the settings, and the names of DICOMweb servers."""
        manifest = bundle.manifest
        window, provenance = manifest.window, manifest.provenance
        return cls(
            version=__version__,
            bundle=BundleOut(
                name=manifest.name,
                digest=bundle.digest,
                source=provenance.source,
                training_data=provenance.training_data,
                licence=provenance.licence,
            ),
            routing=RoutingOut.model_validate(manifest.routing.model_dump())
            if manifest.experts
            else None,
            window_voxels=window.side,
            spacings=tuple(
                SpacingOut(spacing_mm=spacing, width_mm=spacing * window.side)
                for spacing in window.spacings
            ),
            experts=tuple(
                ExpertOut.model_validate(expert.model_dump()) for expert in manifest.experts
            ),
            prompts=PromptsOut(boxes="native" if manifest.model.boxes else "mapped"),
            formats=FormatsOut(upload=(OCTETS, FORM), mask=MASKS),
            dicomweb=servers,
            limits=LimitsOut(
                upload_bytes=settings.upload_limit,
                json_bytes=settings.json_limit,
                points=MAX_POINTS,
                requests_at_once=settings.limit_concurrency,
                windows=MOST_WINDOWS,
            ),
        )
