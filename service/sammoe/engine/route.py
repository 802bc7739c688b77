"""What the gate said and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sammoe.engine.selector import Check


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
        The gate's score per expert, in the manifest's order, each in [0, 1], pooled over the
        prompts of a segmentation by a gate of heads (see `sammoe.engine.selector.pooled`); empty
        where no gate was asked.
    top
        The best expert that segments the volume's modality, or the second-best where that scores
        about alike and its mask fits the box better; or None.
    s_top
        The best score of those, which says how sure the gate is that an expert is meant; or None.
    tau
        The threshold that ``s_top`` had to exceed, or None where no gate was asked.
    check
        Verdict on the top expert's mask: ``"accepted"``; ``"rejected"``, because it fits the
        prompt worse than the general mask, which is then the answer while the expert's stays a
        candidate; ``"failed"``, because its decoder gave none; None where none was made.
    agreement
        Dice of the top expert's mask and the general one, or None where not both were made.
    distance
        Of the gate features from the nearest of those that ship with the general decoder (see
        `sammoe.engine.familiarity`); None where it did not run, or none ship.
    """

    used: str
    fused: bool = False
    scores: Mapping[str, float] = field(default_factory=dict)
    top: str | None = None
    s_top: float | None = None
    tau: float | None = None
    check: Check | None = None
    agreement: float | None = None
    distance: float | None = None
