"""Made-up samples of two experts and two general classes, whose best thresholds are known."""

from typing import Any

import numpy as np

from sammoe.bundle import PROMPT_KINDS, PromptKind
from sammoe.training.calibration.samples import Sample


def sample(structure: str, **changes: Any) -> Sample:
    """One prompt; a class named after an expert is that expert's own."""
    own = structure in {"cord", "vein"}
    values: dict[str, Any] = {
        "dataset": "set",
        "structure": structure,
        "patient": "p",
        "expert": structure if own else "",
        "kind": "box",
        "way": "box",
        "top": structure if own else "cord",
        "s_top": 0.9,
        "misfits": (0.1, 0.1),
        "general": 0.3 if own else 0.8,
        "expert_dice": 0.7 if own else 0.2,
        "fused": 0.7 if own else 0.2,
        "agreement": 0.4 if own else 0.9,
        "distance": 0.5,
    }
    return Sample(**values | changes)


def population(kind: PromptKind = "box", patients: int = 20) -> list[Sample]:
    """Own prompts score .6 to 1 and fit as well as the general mask; every fifth of the general
    prompts scores as high and fits .04 worse (a box), 2 worse (a click) or .2 worse (clicks), the
    rest scores low.
    """
    rng = np.random.default_rng(PROMPT_KINDS.index(kind))
    worse = {"box": 0.04, "click": 2.0, "clicks": 0.2}[kind]
    found = []
    for number in range(patients):
        for structure in ("cord", "vein", "liver", "spleen"):
            own = structure in {"cord", "vein"}
            taken = own or number % 5 == 0
            s_top = rng.uniform(0.6, 1) if taken else rng.uniform(0, 0.4)
            found.append(
                sample(
                    structure,
                    patient=f"p{number}",
                    kind=kind,
                    s_top=float(s_top),
                    misfits=(0.1, 0.1 if own else 0.1 + worse),
                )
            )
    return found


def softer() -> list[Sample]:
    """Cord's masks fit its clicks .5 worse than the general ones; vein's fit as well, and fit
    clicks in the spleen .3 worse.
    """
    rng = np.random.default_rng(0)
    return [
        sample(
            structure,
            kind="clicks",
            way="loop",
            patient=f"p{number}",
            top=top,
            s_top=float(rng.uniform(0.6, 0.9)),
            misfits=(0.2, 0.2 + worse),
        )
        for number in range(20)
        for structure, top, worse in (
            ("cord", "cord", 0.5),
            ("vein", "vein", 0.0),
            ("spleen", "vein", 0.3),
            ("liver", "cord", 1.2),
        )
    ]
