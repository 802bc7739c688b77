"""The manifest ``bundle.json``: what a release of weights is, and how to prompt it.

Every model is closed (an unknown field is an error) and frozen.
"""

import re
from collections.abc import Collection
from datetime import date
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

from sammoe.bundle.digests import is_folder_name
from sammoe.volume.volume import Modality
from sammoe.volume.window import WindowRule

SCHEMA_VERSION: Final = 1
"""Version of the manifest's form that this code writes and reads."""

ENCODER = "image_encoder"
GENERAL_DECODER = "decoder_general"
GATE = "gate"
SELECTOR = "selector"

SELECTOR_MANIFEST = "1/bundle.json"
"""In the selector's folder: the manifest as it is without the selector."""

SELECTOR_FILES = ("config.pbtxt", "1/model.py", "1/selector.py", SELECTOR_MANIFEST)

_TOKENS_BEFORE = 5
_PATH = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ExpertName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
ModalityName = Literal["CT", "MR", "unknown"]
Millimetres = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
PromptKind = Literal["box", "click", "clicks"]
"""What a prompt is to the gate: it holds a box, or one click, or several."""

PROMPT_KINDS: Final[tuple[PromptKind, ...]] = ("box", "click", "clicks")


def decoder_name(expert: str) -> str:
    """Plain name of an expert's decoder: ``decoder_<expert>``; ``general`` is the general one."""
    return f"decoder_{expert}"


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(_Closed):
    """Sizes of the networks, as far as serving needs them.

    ``embedding_channels`` E and ``grid`` g: the encoder answers ``[B, E, g, g, g]``. ``width`` C:
    channels of the prompt encoder and the decoder; E > C when the embedding carries folded detail
    channels. ``boxes``: the prompt encoder has embeddings for box corners (labels 2 and 3).
    ``gate_tokens``: of width C, make up ``gate_features``; 5 in bundles that do not say it.
    ``architecture``: every argument of the networks, for whoever builds them again.
    """

    embedding_channels: int = Field(gt=0)
    width: int = Field(gt=0)
    grid: int = Field(gt=0)
    boxes: bool
    gate_tokens: int = Field(default=_TOKENS_BEFORE, gt=0)
    architecture: dict[str, JsonValue]

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What programs of before can read stays so."""
        said: dict[str, Any] = dump(self)
        if self.gate_tokens == _TOKENS_BEFORE:
            del said["gate_tokens"]
        return said

    @property
    def cells(self) -> int:
        """Side L = 4 g of the low-resolution logits and of the mask prompt."""
        return 4 * self.grid

    @property
    def gate_features(self) -> int:
        """Length F of ``gate_features``."""
        return self.gate_tokens * self.width


class WindowSettings(_Closed):
    """How windows are cut from a scan; see :class:`sammoe.volume.window.WindowRule`.

    ``side`` and ``patch`` in voxels of the model grid; ``spacings`` in mm, ascending;
    ``default_spacing`` in mm per modality; ``snap_mm``: lattice step in mm per spacing, ``None`` =
    a quarter of the window; ``ct_clamp`` in HU; ``coarse``: see the rule.
    """

    side: int = Field(gt=0)
    patch: int = Field(gt=0)
    spacings: tuple[Millimetres, ...] = Field(min_length=1)
    default_spacing: dict[ModalityName, Millimetres]
    snap_mm: tuple[Millimetres, ...] | None = None
    normalisation: Literal["window", "volume"] = "window"
    ct_clamp: tuple[float, float] = (-1000.0, 1000.0)
    antialias: bool
    preprocessing_version: int = Field(ge=1)
    coarse: float = Field(default=0.0, ge=0, le=0.25)

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.rule()
        return self

    @classmethod
    def from_rule(cls, rule: WindowRule) -> Self:
        """The settings of a rule, as training holds it."""
        return cls.model_validate(
            {
                "side": rule.side,
                "patch": rule.patch,
                "spacings": rule.spacings,
                "default_spacing": dict(rule.default_spacing),
                "snap_mm": rule.snap_mm,
                "normalisation": rule.normalisation,
                "ct_clamp": rule.ct_clamp,
                "antialias": rule.antialias,
                "preprocessing_version": rule.version,
                "coarse": rule.coarse,
            }
        )

    def rule(self) -> WindowRule:
        """The same as a value object of :mod:`sammoe.volume`, which checks itself."""
        return WindowRule(
            side=self.side,
            patch=self.patch,
            spacings=self.spacings,
            default_spacing=dict(self.default_spacing.items()),
            snap_mm=self.snap_mm,
            normalisation=self.normalisation,
            ct_clamp=self.ct_clamp,
            antialias=self.antialias,
            version=self.preprocessing_version,
            coarse=self.coarse,
        )


class Code(_Closed):
    """A coded concept: value and meaning in a coding scheme (DICOM PS3.16; SCT = SNOMED CT)."""

    value: str = Field(min_length=1)
    meaning: str = Field(min_length=1)
    scheme: str = "SCT"


class Expert(_Closed):
    """One task decoder: what it segments, on what it was trained, under what licence.

    ``classes``: names that its structure has in data sets, by which evaluation knows it.
    """

    name: ExpertName
    label: str = Field(min_length=1)
    codes: tuple[Code, ...] = ()
    modalities: tuple[Literal["CT", "MR"], ...] = Field(min_length=1)
    training_data: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    classes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.name in {"auto", "general"}:
            raise ValueError(f"an expert can not be called {self.name!r}")
        return self

    def takes(self, modality: Modality) -> bool:
        """Whether it may be meant on a scan of this modality; nothing is excluded by `UNKNOWN`."""
        return modality is Modality.UNKNOWN or modality.value in self.modalities


class Routing(_Closed):
    """How the gate's scores become an answer.

    ``gate``: which network gives the scores: ``heads`` reads the general decoder's
    ``gate_features``, ``joint`` and ``paper`` read what the decoders read. ``fusion``: whether
    probabilities or logits of general and expert mask are mixed. By kind of prompt: ``tau``, which
    the top score must exceed, and ``slack``, by how much the expert's mask may fit the prompt worse
    than the general one (box: share of its side; click: logits; clicks: mean -log p; ``None``: no
    check). ``own_slack``: by expert, in place of ``slack``: one expert's masks are softer, or of
    smaller structures, than another's. ``agreement``: Dice of general and expert mask below which
    an answer is doubtful.
    ``distance``: of the gate features from those shipped with the general decoder, beyond which it
    is.
    """

    gate: Literal["heads", "joint", "paper"] = "heads"
    fusion: Literal["probability", "logit"] = "probability"
    tau: dict[PromptKind, Share] = dict.fromkeys(PROMPT_KINDS, 0.5)
    slack: dict[PromptKind, Finite | None] = dict.fromkeys(PROMPT_KINDS)
    own_slack: dict[ExpertName, dict[PromptKind, Finite | None]] = {}
    agreement: Share | None = None
    distance: Finite | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, table in (("tau", self.tau), ("slack", self.slack)):
            if table.keys() != set(PROMPT_KINDS):
                raise ValueError(f"{name} must give a value for each of {', '.join(PROMPT_KINDS)}")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What programs of before can read stays so."""
        said: dict[str, Any] = dump(self)
        if not self.own_slack:
            said.pop("own_slack", None)
        return said

    def of_experts(self, names: Collection[str]) -> Self:
        """The same without the slacks of other experts."""
        own = {name: slack for name, slack in self.own_slack.items() if name in names}
        return self.model_copy(update={"own_slack": own})


class Provenance(_Closed):
    """Where the weights come from.

    ``details`` is free: recipe, minutes, seeds, the source file's digest, measured export errors.
    """

    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    created: date
    training_data: str = Field(min_length=1)
    details: dict[str, JsonValue] = {}


class SelfTest(_Closed):
    """What a seeded prompt must come to; see :mod:`sammoe.bundle.self_test`.

    ``outputs``: name of an output -> samples of it. ``tolerance``: largest difference, relative to
    the larger of 1 and the largest sample.
    """

    seed: int
    tolerance: float = Field(gt=0, allow_inf_nan=False)
    outputs: dict[str, tuple[Finite, ...]]


class Manifest(_Closed):
    """The whole of ``bundle.json``.

    ``models``: plain name (``image_encoder``, ``decoder_general``, ``decoder_<expert>``, ``gate``)
    -> folder. ``selector``: folder of what Triton runs between them; ``None`` in a bundle that is
    run in-process alone. ``files``: path relative to the bundle, with ``/``, -> SHA-256; every file
    of every folder. ``experts``: in order, the order of the gate's scores. ``self_test``: a bundle
    without one can be run, but not published.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = Field(min_length=1)
    model: ModelConfig
    window: WindowSettings
    routing: Routing = Routing()
    models: dict[str, str]
    selector: str | None = None
    files: dict[str, Sha256]
    experts: tuple[Expert, ...] = ()
    provenance: Provenance
    self_test: SelfTest | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.window.side != self.model.grid * self.window.patch:
            raise ValueError("window side, patch and the model's grid do not fit each other")
        names = [expert.name for expert in self.experts]
        if len(set(names)) != len(names):
            raise ValueError("two experts have one name")
        if strangers := sorted(self.routing.own_slack.keys() - set(names)):
            raise ValueError(f"routing gives a slack to {', '.join(strangers)}: no such expert")
        # Without an expert there is nothing to choose, so no gate either.
        wanted = {ENCODER, GENERAL_DECODER, *map(decoder_name, names), *([GATE] if names else [])}
        if self.models.keys() != wanted:
            odd = ", ".join(sorted(self.models.keys() ^ wanted))
            raise ValueError(f"models must name exactly what the experts need; wrong: {odd}")
        for plain, folder in self.folders.items():
            if not is_folder_name(plain, folder):
                raise ValueError(f"folder {folder!r} is not '{plain}-<12 hex digits>'")
            for needed in SELECTOR_FILES if plain == SELECTOR else ("config.pbtxt", "1/model.onnx"):
                if f"{folder}/{needed}" not in self.files:
                    raise ValueError(f"files lacks {folder}/{needed}")
        for path in self.files:
            if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
                raise ValueError(f"file {path!r} is no plain relative path")
            if path.split("/")[0] not in self.folders.values():
                raise ValueError(f"file {path!r} lies in no model folder")
        return self

    @property
    def folders(self) -> dict[str, str]:
        """Plain name -> folder, of the models and of the selector where there is one."""
        return self.models | ({SELECTOR: self.selector} if self.selector else {})

    @property
    def selector_digest(self) -> str | None:
        """SHA-256 (hex) of the manifest that the selector holds: this one without the selector."""
        return self.files.get(f"{self.selector}/{SELECTOR_MANIFEST}")

    def window_rule(self) -> WindowRule:
        """The rule that cuts windows, for :mod:`sammoe.volume`."""
        return self.window.rule()
