"""The selector: which expert, whether its mask fits the prompt, and what the answer is.

The paper's section 2.3 (score, threshold, weighted sum), and two looks at masks that it has not: of
two experts that score alike, that one counts whose mask fits a box better, and it counts only if it
fits about as well as the general one. Arrays and numbers alone:
training, calibration, evaluation and serving all decide by this module.

It needs numpy and nothing of ours, for a copy of it runs within Triton, in an interpreter where
nothing of ours is installed. That numpy may be older than 2, where a number beside a float32 scalar
makes a float64; so every cast is written out. Where a processor has AVX-512, both compute exp and
log of float64 otherwise, in the last digit; of float32 they do not, and of single numbers the
standard library's `math` is asked. So both give the same bytes.

Masks may also be tensors of torch or CuPy, which lie on a GPU: then all that is done to a mask as a
whole is done there, in the words that those libraries share with numpy, and only numbers that
decide come to the host.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEGATIVE, POSITIVE = 0, 1
PADDING = -1
BOX_LO, BOX_HI = 2, 3
"""Labels of a prompt's tokens; see `sammoe.engine.inputs`."""

PromptKind = Literal["box", "click", "clicks"]
Fusion = Literal["probability", "logit"]

Check = Literal["accepted", "rejected", "failed"]
"""``failed``: the expert's decoder gave no answer to judge, so the general mask is the answer."""

LOGIT_LIMIT = 32.0
"""Logits are clipped to +-32 (a probability of 1e-14) before they are fused or fed back."""

RIVAL_GAP = 3.0
"""The second-best expert is asked, too, where its score's logit is at most this much below the
best's: odds of 20 to 1."""

RIVAL_MARGIN = 0.025
"""By how much better a rival's mask must fit the box, for each unit between the logits."""

NEWS = 0.4
"""How much a refinement's own scores count beside those of the answer that it refines."""

FLAT_VOXELS = 1.0
"""A box whose corners are nearer than this on an axis is a drawing in one plane."""


class Thresholds(Protocol):
    """What of `sammoe.bundle.Routing` decides: tau and slack by kind of prompt, and the fusion."""

    @property
    def tau(self) -> Mapping[PromptKind, float]:
        """Which the best expert's score must exceed."""
        ...

    @property
    def slack(self) -> Mapping[PromptKind, float | None]:
        """By how much its mask may fit the prompt worse than the general one; None: no check."""
        ...

    @property
    def own_slack(self) -> Mapping[str, Mapping[PromptKind, float | None]]:
        """By expert and kind of prompt, in place of ``slack``."""
        ...

    @property
    def fusion(self) -> Fusion:
        """What of two masks is mixed."""
        ...


@dataclass(frozen=True)
class Selection:
    """The best expert by the gate: its index, its score, and whether it passes tau."""

    index: int
    s_top: float
    passes: bool


@dataclass(frozen=True)
class Rival:
    """The second-best expert, where its mask may decide.

    Attributes
    ----------
    index
        Of the expert.
    margin
        By how much its mask must fit the prompt better than that of the best expert by the gate.
    """

    index: int
    margin: float


@dataclass(frozen=True, eq=False)
class Decision:
    """What becomes of an expert's mask.

    Attributes
    ----------
    logits
        The answer, float32 [L, L, L]: the fused mask or the general one.
    fused
        Whether it is the fused one.
    check
        ``"accepted"`` or ``"rejected"``; None where no check was made, because the score did not
        exceed tau or there is no slack for this kind of prompt.
    agreement
        Dice of the two masks; None where the score did not exceed tau.
    """

    logits: NDArray[np.float32]
    fused: bool = False
    check: Check | None = None
    agreement: float | None = None


def pooled(scores: NDArray[np.float32], earlier: Sequence[float]) -> NDArray[np.float32]:
    """What a gate of heads makes of all prompts of a segmentation so far.

    A head looks at one prompt and the mask that it corrects. Its score goes up and down with every
    click, and with it the answer, now the expert's, now the general one. But all clicks are about
    one structure: so scores are pooled, `NEWS` of the logit from this prompt, the rest from what
    was pooled before.

    Parameters
    ----------
    scores
        float32 [m], one per expert, of this prompt alone.
    earlier
        What this returned for the answer that is refined; empty for a first prompt.

    Returns
    -------
    float32 [m], ``scores`` themselves where there is nothing to pool.
    """
    if not len(earlier):
        return scores
    logits = [
        NEWS * _logit(float(now)) + (1 - NEWS) * _logit(before)
        for now, before in zip(scores, earlier, strict=True)
    ]
    return np.array([1 / (1 + math.exp(-logit)) for logit in logits], np.float32)


def select(
    scores: NDArray[np.float32] | Sequence[float],
    tau: float,
    allowed: Sequence[bool] | NDArray[np.bool_] | None = None,
) -> Selection | None:
    """Pick the expert of highest score (the first of equals); it passes if ``s_top > tau``.

    Parameters
    ----------
    scores
        float [m], one per expert, m >= 1, finite.
    tau
        Threshold in [0, 1].
    allowed
        bool [m]: experts that may be picked; None means all.

    Returns
    -------
    None where no expert is allowed.
    """
    ranked = np.asarray(scores, dtype=np.float64)
    if allowed is not None:
        if not np.any(allowed):
            return None
        ranked = np.where(allowed, ranked, -np.inf)
    index = int(np.argmax(ranked))
    s_top = float(ranked[index])
    return Selection(index, s_top, s_top > tau)


def rival(
    scores: NDArray[np.float32] | Sequence[float],
    best: Selection,
    allowed: Sequence[bool] | NDArray[np.bool_],
    kind: PromptKind,
) -> Rival | None:
    """The second-best expert by a gate of heads, if it comes close and the prompt is a box.

    Experts of neighbouring structures (two parts of one organ) are both sure. A box says where the
    structure ends, and so which of their masks is meant. Clicks do not: they lie within what either
    would paint, and with clicks that correct, two tries at the check let through more that harms
    general classes than they find.

    Parameters
    ----------
    scores, allowed
        As for `select`.
    best
        What that found.
    kind
        `prompt_kind` of the labels.
    """
    if kind != "box":
        return None
    ranked = np.where(allowed, np.asarray(scores, dtype=np.float64), -np.inf)
    ranked[best.index] = -np.inf
    index = int(np.argmax(ranked))
    if not np.isfinite(ranked[index]):
        return None
    gap = _logit(best.s_top) - _logit(float(ranked[index]))
    return Rival(index, gap * RIVAL_MARGIN) if gap <= RIVAL_GAP else None


def wins(
    second: Rival,
    best: NDArray[np.float32],
    other: NDArray[np.float32],
    coords: NDArray[Any],
    labels: NDArray[Any],
    side: int,
) -> bool:
    """Whether the rival's mask ``other`` fits the box by its margin better than ``best``.

    Masks are logits float32 [L, L, L]; ``coords``, ``labels`` and ``side`` are those of `misfit`.
    An empty mask never wins over another.
    """
    of_best, of_other = (misfit(logits, coords, labels, side) for logits in (best, other))
    return bool(np.isfinite(of_other)) and of_best - of_other > second.margin


def fuse(
    general: NDArray[np.float32],
    top: NDArray[np.float32],
    s_top: float,
    fusion: Fusion,
) -> NDArray[np.float32]:
    """Weighted sum of two masks, ``(1 - s_top) M_g + s_top M_top`` (paper, equation of 2.3).

    The paper leaves open whether M is a probability or a logit; ``fusion`` says which. Both return
    logits: for ``"probability"`` those of the mixed probability.

    Parameters
    ----------
    general, top
        Logits float32, equal shapes; clipped to ``LOGIT_LIMIT``.
    s_top
        Weight of ``top`` in [0, 1].

    Returns
    -------
    float32, the same shape, within ``LOGIT_LIMIT``.
    """
    xp = library(general)
    masks = clip_logits(general), clip_logits(top)
    if fusion == "logit":
        g, t = (xp.asarray(mask, dtype=xp.float64) for mask in masks)
        mixed: NDArray[np.float32] = xp.asarray((1 - s_top) * g + s_top * t, dtype=xp.float32)
        return mixed
    # With e = exp(x): p = e / (1 + e), 1 - p = 1 / (1 + e). Both are mixed, so that no precision is
    # lost where p is near 1.
    g, t = (xp.asarray(xp.exp(mask), dtype=xp.float64) for mask in masks)
    weight_g, weight_t = (1 - s_top) / (1 + g), s_top / (1 + t)
    odds = (weight_g * g + weight_t * t) / (weight_g + weight_t)
    fused: NDArray[np.float32] = xp.log(xp.asarray(odds, dtype=xp.float32))
    return fused


def clip_logits(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clip logits to +-``LOGIT_LIMIT``, as they are fused and fed back as the next prior."""
    clipped: NDArray[np.float32] = library(logits).clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT)
    return clipped


def prompt_kind(labels: ArrayLike) -> PromptKind:
    """Kind of a prompt by the labels of its tokens, int [N] or [1, N] as in `DecoderInputs`.

    ``"box"`` with a box, whatever else there is; ``"click"`` for one click in all; else
    ``"clicks"``.
    """
    kinds = np.asarray(labels)
    if np.isin(kinds, (BOX_LO, BOX_HI)).any():
        return "box"
    return "click" if int(np.isin(kinds, (NEGATIVE, POSITIVE)).sum()) == 1 else "clicks"


def misfit(
    logits: NDArray[np.float32], coords: NDArray[Any], labels: NDArray[Any], side: int
) -> float:
    """How badly a mask fits its prompt; smaller is better.

    With a box: the mean over the box's faces of the distance between it and the same face of the
    mask's bounding box, as share of the box's side on that axis. The mask's faces are sub-cell:
    the zero crossings of the logits' maximum along each axis (by whole cells, a perfect mask of a
    small box would seem to miss by half of it). The corners are the first and the last voxel
    inside, so faces lie half a voxel beyond, cut off where the window ends; a mask that runs into
    the window's face ends there too. A flat box is compared in its plane only, with the mask's
    section there. Clicks beside a box do not count.

    With one click alone: the negative of its logit, sampled trilinearly and its sign turned for a
    negative click. With several: the mean over them of -log p, where p is the probability of that
    logit. What meets a click costs next to nothing then, however sure the mask is of it, and one
    click that is not met is one of several: an expert's mask is softer than the general one, and
    it is asked about clicks that corrected the other's mistakes.

    Parameters
    ----------
    logits
        float32 [L, L, L], covering the window; finite.
    coords, labels
        [N, 3] window voxels and [N], or with a leading 1 as in `DecoderInputs`.
    side
        Of the window, voxels.

    Returns
    -------
    ``inf`` for an empty mask with a box, and 0 where there is neither click nor box; else finite.
    """
    places = np.asarray(coords, dtype=np.float64).reshape(-1, 3)
    kinds = np.asarray(labels).reshape(-1)
    if (kinds == BOX_LO).any():
        corners = np.stack([places[kinds == BOX_LO][0], places[kinds == BOX_HI][0]])
        return _face_gap(logits, np.clip(corners, -0.5, side - 0.5), side)
    signs = np.select([kinds == POSITIVE, kinds == NEGATIVE], [1.0, -1.0])
    clicks = _cells(places[signs != 0], logits.shape[0], side)
    met = signs[signs != 0] * np.array([_at(logits, click) for click in clicks])
    if len(met) == 1:
        return -float(met[0])
    return float(np.logaddexp(0, -met).mean()) if len(met) else 0.0


def accepts(general_misfit: float, expert_misfit: float, slack: float | None) -> bool:
    """Whether an expert's mask fits well enough: at most ``slack`` worse than the general one.

    An empty mask (infinite misfit) is never accepted; without a slack everything is.
    """
    if slack is None:
        return True
    return bool(np.isfinite(expert_misfit)) and expert_misfit <= general_misfit + slack


def slack_of(routing: Thresholds, expert: str, kind: PromptKind) -> float | None:
    """By how much this expert's mask may fit such a prompt worse than the general one."""
    own = routing.own_slack.get(expert, {})
    return own[kind] if kind in own else routing.slack[kind]


def agreement(general: NDArray[np.float32], expert: NDArray[np.float32]) -> float:
    """Dice of two masks, where logits of equal shape are above 0; 1 for two empty ones."""
    a, b = general > 0, expert > 0
    count = library(general).count_nonzero
    total = int(count(a)) + int(count(b))
    return 2 * int(count(a & b)) / total if total else 1.0


def decide(
    general: NDArray[np.float32],
    expert: NDArray[np.float32],
    s_top: float,
    kind: PromptKind,
    coords: NDArray[Any],
    labels: NDArray[Any],
    side: int,
    routing: Thresholds,
    tau: float | None = None,
    *,
    name: str,
) -> Decision:
    """From both masks to the answer: threshold, check, fusion.

    Parameters
    ----------
    general, expert
        Logits float32 [L, L, L] of the general decoder and of the best expert, or of a `rival` that
        won.
    s_top
        The best expert's score: how sure the gate is that an expert is meant, whichever of the two.
    kind
        `prompt_kind` of the labels: which tau and slack of ``routing`` hold.
    coords, labels, side
        As in `misfit`.
    tau
        In place of the bundle's.
    name
        Of the expert whose mask it is, which may have a slack of its own.
    """
    if s_top <= (routing.tau[kind] if tau is None else tau):
        return Decision(general)
    agreed, slack = agreement(general, expert), slack_of(routing, name, kind)
    check: Check | None = None
    if slack is not None:
        general_misfit, expert_misfit = (
            misfit(logits, coords, labels, side) for logits in (general, expert)
        )
        check = "accepted" if accepts(general_misfit, expert_misfit, slack) else "rejected"
    if check == "rejected":
        return Decision(general, check=check, agreement=agreed)
    return Decision(fuse(general, expert, s_top, routing.fusion), True, check, agreed)


def _logit(score: float) -> float:
    share = min(max(score, 1e-6), 1 - 1e-6)
    return math.log(share / (1 - share))


def library(array: Any) -> Any:
    """numpy, or the library that an array on a GPU is of: torch or CuPy."""
    if isinstance(array, np.ndarray):
        return np
    return import_module(type(array).__module__.partition(".")[0])


def _face_gap(logits: NDArray[np.float32], corners: NDArray[np.float64], side: int) -> float:
    flat = corners[1] - corners[0] < FLAT_VOXELS
    middle = _cells(corners.mean(axis=0), logits.shape[0], side)
    # From the last axis on, so that the axes still to come keep their numbers.
    for axis in reversed(np.flatnonzero(flat).tolist()):
        logits = _section(logits, float(middle[axis]), axis)
    if not (logits > 0).any():
        return float("inf")
    gaps = []
    for place, axis in enumerate(np.flatnonzero(~flat).tolist()):
        others = tuple(a for a in range(logits.ndim) if a != place)
        box = np.clip(corners[:, axis] + (-0.5, 0.5), -0.5, side - 0.5)
        profile = library(logits).amax(logits, others) if others else logits
        mask = _crossings(np.array(profile.tolist()), side)
        gaps.append(float(np.abs(mask - box).mean() / (box[1] - box[0])))
    return sum(gaps) / len(gaps) if gaps else 0.0


def _crossings(values: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """First and last place, in window voxels, where a profile [L] with a value > 0 crosses 0.

    A profile that is above 0 in its outermost cell ends at the window's face.
    """
    cells = len(values)
    inside = np.flatnonzero(values > 0)
    ends = np.array([-0.5, cells - 0.5])
    for end, (cell, step) in enumerate(((int(inside[0]), -1), (int(inside[-1]), 1))):
        beyond = cell + step
        if 0 <= beyond < cells:
            ends[end] = cell + step * values[cell] / (values[cell] - values[beyond])
    return (ends + 0.5) * (side / cells) - 0.5


def _cells(places: NDArray[np.float64], cells: int, side: int) -> NDArray[np.float64]:
    """Window voxels -> cell index, where the outermost cells reach to the window's faces."""
    return np.clip((places + 0.5) * (cells / side) - 0.5, 0, cells - 1)


def _at(logits: NDArray[np.float32], cell: NDArray[np.float64]) -> float:
    """Trilinear value at a fractional cell index [3]."""
    low = np.minimum(cell.astype(int), logits.shape[0] - 2)
    around = logits[tuple(slice(first, first + 2) for first in low.tolist())]
    value = np.array(around.tolist(), np.float32)
    for axis in (2, 1, 0):
        value = _section(value, float(cell[axis] - low[axis]), axis)
    return float(value)


def _section(logits: NDArray[np.float32], cell: float, axis: int) -> NDArray[np.float32]:
    """Linear interpolation between two planes; one axis less."""
    xp, before = library(logits), (slice(None),) * axis
    low = min(int(cell), logits.shape[axis] - 2)
    share = np.float32(cell - low)
    weights = xp.asarray([float(np.float32(1) - share), float(share)], dtype=xp.float32)
    first, second = logits[(*before, low)], logits[(*before, low + 1)]
    section: NDArray[np.float32] = weights[0] * first + weights[1] * second
    return section
