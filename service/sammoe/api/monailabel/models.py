"""What MONAI Label clients send and are told, as JSON."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sammoe import __version__
from sammoe.api.schemas import EntryIn
from sammoe.bundle import Bundle
from sammoe.engine import AUTO, GENERAL
from sammoe.errors import MalformedBody, NotFound, PromptInvalid
from sammoe.segmentation import Entry
from sammoe.segmentation.retelling import Told
from sammoe.volume.geometry import Geometry

MIXTURE = "sam_med3d_moe"
"""Model that leaves the choice to the gate; the others are called as in the bundle."""

STRUCTURE = "structure"
"""Label of whatever is clicked on."""

Coordinate = Annotated[float, Field(allow_inf_nan=False)]
Place = tuple[Coordinate, Coordinate, Coordinate]


class CodeInfo(BaseModel):
    """A code as dcmqi writes it."""

    model_config = ConfigDict(frozen=True)

    value: str = Field(alias="CodeValue")
    meaning: str = Field(alias="CodeMeaning")
    scheme: str = Field(default="SCT", alias="CodingSchemeDesignator")


class SegmentInfo(BaseModel):
    """A segment as dcmqi describes it."""

    model_config = ConfigDict(frozen=True)

    label: str | None = Field(default=None, alias="SegmentLabel")
    category: CodeInfo | None = Field(default=None, alias="SegmentedPropertyCategoryCodeSequence")
    code: CodeInfo | None = Field(default=None, alias="SegmentedPropertyTypeCodeSequence")
    colour: tuple[int, ...] = Field(default=(), alias="recommendedDisplayRGBValue")


class LabelInfo(BaseModel):
    """What a structure is called in a DICOM SEG: in short, or as dcmqi describes it."""

    model_config = ConfigDict(frozen=True)

    name: str | None = None
    color: tuple[int, ...] = ()
    segment: SegmentInfo = Field(default=SegmentInfo(), alias="segmentAttribute")

    def entry(self, segmentation: str, otherwise: str) -> Entry:
        """As our own API takes it.

        Raises
        ------
        MalformedBody
            DICOM can not hold it.
        """
        segment = self.segment
        given = {
            "segmentation": segmentation,
            "label": segment.label or self.name or otherwise,
            "code": None if segment.code is None else segment.code.model_dump(),
            "category": None if segment.category is None else segment.category.model_dump(),
            "colour": (segment.colour or self.color)[:3] or None,
        }
        try:
            return EntryIn.model_validate(given).draft()
        except ValidationError:
            raise MalformedBody("params.label_info holds what DICOM can not.") from None


class Params(BaseModel):
    """What is asked of a model.

    Clients send much more, of which nothing is used: no parameter reaches anything of the server.
    """

    model_config = ConfigDict(frozen=True)

    foreground: tuple[Place, ...] = ()
    background: tuple[Place, ...] = ()
    roi: Annotated[tuple[Coordinate, ...], Field(max_length=6)] = ()
    label: str | None = None
    label_info: tuple[LabelInfo, ...] = ()
    result_extension: Literal[".nii", ".nii.gz", ".nrrd"] = ".nii.gz"
    result_compress: bool = True

    @classmethod
    def parse(cls, text: str, labels: tuple[str, ...]) -> "Params":
        """Read ``params``; a client may give the clicks under a label's name.

        Raises
        ------
        MalformedBody
            It is no JSON of this form.
        """
        try:
            given: dict[str, Any] = json.loads(text or "{}")
            for label in labels:
                if "foreground" not in given and isinstance(given.get(label), list):
                    given["foreground"] = given[label]
            return cls.model_validate(given)
        except (ValueError, ValidationError, AttributeError, TypeError, RecursionError):
            raise MalformedBody("params can not be understood.") from None

    def told(self, geometry: Geometry) -> Told:
        """The clicks, and the box where there is one: two indices per axis, in any order.

        3D Slicer turns the ends of its box, in mm, to indices, and sends them in the order of the
        millimetres. What of the box lies outside of the scan is left away.

        Raises
        ------
        PromptInvalid
            It is no box, or all of it lies outside.
        """
        if not self.roi:
            return Told(self.foreground, self.background)
        if len(self.roi) != 6:
            raise PromptInvalid("roi has six numbers: two for each axis.")
        ends = zip(self.roi[0::2], self.roi[1::2], geometry.shape, strict=True)
        sides = [(max(min(a, b), 0.0), min(max(a, b), n - 1.0)) for a, b, n in ends]
        if any(first > last for first, last in sides):
            raise PromptInvalid("The roi lies outside of the image.")
        (i0, i1), (j0, j1), (k0, k1) = sides
        return Told(self.foreground, self.background, ((i0, j0, k0), (i1, j1, k1)))

    def entry(self, segmentation: str, labels: tuple[str, ...]) -> Entry:
        """The structure as a DICOM SEG shall call it; raises as `LabelInfo.entry`."""
        info = self.label_info[0] if self.label_info else LabelInfo()
        return info.entry(segmentation, self.label or labels[0])


def experts(bundle: Bundle) -> dict[str, str]:
    """Name of each model -> what it is called in our own API."""
    own = [expert.name for expert in bundle.manifest.experts]
    return {MIXTURE: AUTO, GENERAL: GENERAL, **{name: name for name in own}}


def expert_of(bundle: Bundle, model: str) -> str:
    """What a model is called in our own API.

    Raises
    ------
    NotFound
        There is no such model.
    """
    found = experts(bundle).get(model)
    if found is None:
        raise NotFound("There is no such model.")
    return found


def labels_of(bundle: Bundle, model: str) -> tuple[str, ...]:
    """Labels of a model: never none, for a user has to choose one before clicking."""
    known = {expert.name: expert.label for expert in bundle.manifest.experts}
    if model in known:
        return (known[model],)
    return (STRUCTURE, *known.values()) if model == MIXTURE else (STRUCTURE,)


def info(bundle: Bundle) -> dict[str, Any]:
    """Answer to ``/info``."""
    manifest = bundle.manifest
    about = {expert.name: f"expert: {expert.label}" for expert in manifest.experts}
    about |= {MIXTURE: "the mixture of experts: the gate decides", GENERAL: "the general decoder"}
    return {
        "name": f"SAM-Med3D-MoE, {manifest.name}",
        "description": "Click on a structure. Research use only, not a medical device.",
        "version": __version__,
        "labels": list(labels_of(bundle, MIXTURE)),
        "models": {
            model: {
                "type": "deepgrow",
                "labels": list(labels_of(bundle, model)),
                "dimension": 3,
                "description": about[model],
                "config": {},
            }
            for model in experts(bundle)
        },
        "trainers": {},
        "strategies": {},
        "scoring": {},
        "train_stats": {},
        "datastore": {"name": "sammoe", "description": "", "total": 0, "completed": 0},
    }
