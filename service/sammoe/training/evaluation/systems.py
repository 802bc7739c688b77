"""Who answers: the general model, a named expert, a mixture, and the variants of Table 2."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import PROMPT_KINDS, Routing
from sammoe.engine import AUTO, GENERAL, Choice, DecoderInputs, Route, clip_logits, fuse
from sammoe.segmentation.planning import answer
from sammoe.training.evaluation.deciding import decided, decision
from sammoe.training.evaluation.sessions import Begun, Scene

Logits = NDArray[np.float32]

BASELINE, FT_EXPERT = "baseline", "ft_expert"
MIXTURES: Final = {"heads": "ours", "joint": "joint", "paper": "paper"}
"""Gate of a bundle -> the mixture's name in tables."""


@dataclass(frozen=True, eq=False)
class Answered:
    """What a system says to a prompt, in its first window.

    Attributes
    ----------
    logits
        The answer.
    general, expert
        The candidates, where they were computed: the expert is the top one whatever tau says.
    route
        As served.
    """

    logits: Logits
    route: Route
    general: Logits | None = None
    expert: Logits | None = None


class System(Protocol):
    """Answers prompts."""

    @property
    def name(self) -> str:
        """In tables."""
        ...

    @property
    def scene(self) -> Scene:
        """The scan, on the engine that answers."""
        ...

    @property
    def choice(self) -> Choice:
        """What it is to an engine."""
        ...

    async def answer(self, begun: Begun) -> Answered:
        """Answer one prompt in its first window."""
        ...


@dataclass(frozen=True, eq=False)
class Baseline:
    """The general decoder alone."""

    scene: Scene
    name: str = BASELINE

    @property
    def choice(self) -> Choice:
        """See `System`."""
        return Choice(GENERAL)

    async def answer(self, begun: Begun) -> Answered:
        """See `System`."""
        logits = await self.scene.general(begun.first)
        return Answered(logits, Route(used=GENERAL), general=logits)


@dataclass(frozen=True, eq=False)
class Named:
    """One expert, asked by name."""

    scene: Scene
    expert: str
    name: str = FT_EXPERT

    @property
    def choice(self) -> Choice:
        """See `System`."""
        return Choice(self.expert)

    async def answer(self, begun: Begun) -> Answered:
        """See `System`."""
        decoded = await self.scene.decode(begun.first, self.choice)
        logits = decoded.candidates["expert"]
        return Answered(logits, decoded.route, expert=logits)


@dataclass(frozen=True, eq=False)
class Mixture:
    """What serving answers when nothing is asked for: the gate decides.

    All candidates are computed, then the selector decides as the bundle says: the same arithmetic
    that serving runs, so that variants of it cost nothing.
    """

    scene: Scene
    name: str

    @property
    def choice(self) -> Choice:
        """See `System`."""
        return Choice(AUTO)

    async def answer(self, begun: Begun) -> Answered:
        """See `System`."""
        looked = await self.scene.look(begun)
        routing = self.scene.engine.bundle.manifest.routing
        found = decided(looked, begun.first.inputs, self.side, routing)
        logits = answer(found.candidates, found.route)
        general, expert = found.candidates["general"], found.candidates.get("expert")
        return Answered(logits, found.route, general, expert)

    @property
    def side(self) -> int:
        """Of the window, voxels."""
        return self.scene.engine.bundle.manifest.window.side


@dataclass(frozen=True)
class Variant:
    """A row of Table 2.

    Attributes
    ----------
    tau
        For every kind of prompt; None: the bundle's.
    checked
        Whether an expert's mask must fit the prompt, with the slack of the routing given.
    mix
        ``fusion`` of the bundle's selector, ``average``: equal weights in place of s_top, or
        ``attention``: see `attend`.
    """

    name: str
    tau: float | None = 0.5
    checked: bool = False
    fusion: Literal["probability", "logit"] = "probability"
    mix: Literal["s_top", "average", "attention"] = "s_top"


VARIANTS: Final = (
    Variant("tau 0.5"),
    Variant("tau 0.7", tau=0.7),
    Variant("average", mix="average"),
    Variant("attention", mix="attention"),
    Variant("logits", fusion="logit"),
    Variant("tau 0.5, check", checked=True),
    Variant("logits, check", checked=True, fusion="logit"),
    Variant("calibrated tau", tau=None),
    Variant("calibrated tau, check", tau=None, checked=True),
)


def vary(
    variant: Variant, answered: Answered, inputs: DecoderInputs, side: int, routing: Routing
) -> Logits:
    """The logits that a variant of the selector makes of the same candidates.

    Parameters
    ----------
    answered
        Of a `Mixture`.
    inputs, side
        Of the prompt, and of the window.
    routing
        The bundle's, or with another's slacks.
    """
    general, expert, route = answered.general, answered.expert, answered.route
    assert general is not None
    if expert is None or route.s_top is None:
        return general
    changes: dict[str, object] = {"fusion": variant.fusion}
    if variant.tau is not None:
        changes["tau"] = dict.fromkeys(PROMPT_KINDS, variant.tau)
    if not variant.checked:
        changes |= {"slack": dict.fromkeys(PROMPT_KINDS), "own_slack": {}}
    found = decision(general, expert, route, inputs, side, routing.model_copy(update=changes))
    mixes: dict[str, Callable[[], Logits]] = {
        "s_top": lambda: found.logits,
        "average": lambda: fuse(general, expert, 0.5, variant.fusion),
        "attention": lambda: attend(general, expert),
    }
    return mixes[variant.mix]() if found.fused else general


def attend(general: Logits, expert: Logits) -> Logits:
    """Softmax over the two masks' logits as weights, cell by cell (paper, Table 2, At_weight).

    The paper gives no formula. This is w = softmax(M_g, M_top) and M_o = w_g M_g + w_top M_top: a
    smooth maximum, so that the answer is about the union of both masks.
    """
    g, t = clip_logits(general), clip_logits(expert)
    share: Logits = 1 / (1 + np.exp(g - t))
    return (1 - share) * g + share * t
