"""What the gate said and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Route:
    """The way that one prompt took through the experts.

    Attributes
    ----------
    used
        Whose mask is the answer: ``"general"`` or an expert's name; if ``fused``, the expert that
        was mixed with the general one.
    fused
        Whether general and expert mask were mixed.
    scores
        The gate's score per expert, in the manifest's order, each in [0, 1]; empty where no gate
        was asked.
    top, s_top
        Name and score of the best expert, or None.
    tau
        The threshold that ``s_top`` had to exceed, or None where no gate was asked.
    check
        Verdict of a consistency check of the expert's mask, or None where none was made.
    """

    used: str
    fused: bool = False
    scores: Mapping[str, float] = field(default_factory=dict)
    top: str | None = None
    s_top: float | None = None
    tau: float | None = None
    check: str | None = None
