"""The paper's mask selector (section 2.3) as plain arithmetic on arrays; numpy only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LOGIT_LIMIT = 32.0
"""Logits are clipped to +-32 (a probability of 1e-14) before they are fused or fed back."""


@dataclass(frozen=True)
class Selection:
    """The best expert by the gate: its index, its score, and whether it passes tau."""

    index: int
    s_top: float
    passes: bool


def select(scores: NDArray[np.float32] | Sequence[float], tau: float) -> Selection:
    """Pick the expert of highest score (the first of equals); it passes if ``s_top > tau``.

    Parameters
    ----------
    scores
        float [m], one per expert, m >= 1.
    tau
        Threshold in [0, 1].
    """
    index = int(np.argmax(scores))
    s_top = float(scores[index])
    return Selection(index, s_top, s_top > tau)


def fuse(
    general: NDArray[np.float32],
    top: NDArray[np.float32],
    s_top: float,
    fusion: Literal["probability", "logit"],
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
    g = clip_logits(general).astype(np.float64)
    t = clip_logits(top).astype(np.float64)
    if fusion == "logit":
        mixed = (1 - s_top) * g + s_top * t
    else:
        # With e = exp(x): p = e / (1 + e), 1 - p = 1 / (1 + e). Both are mixed, so that no
        # precision is lost where p is near 1.
        g, t = np.exp(g), np.exp(t)
        weight_g, weight_t = (1 - s_top) / (1 + g), s_top / (1 + t)
        mixed = np.log((weight_g * g + weight_t * t) / (weight_g + weight_t))
    return mixed.astype(np.float32)


def clip_logits(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clip logits to +-``LOGIT_LIMIT``, as they are fused and fed back as the next prior."""
    return np.clip(logits, np.float32(-LOGIT_LIMIT), np.float32(LOGIT_LIMIT))
