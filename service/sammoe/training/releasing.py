"""From a finished run to a checkpoint that ``sammoe export`` turns into a bundle."""

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from sammoe.bundle import Provenance, WindowSettings
from sammoe.export.release import Release
from sammoe.model import SamMed3D
from sammoe.model.checkpoint import save_checkpoint
from sammoe.training.corpus import POOL, SHARES, small_window_rule
from sammoe.training.general import Recipe

_TRAINING_DATA = (
    "synthetic torso phantoms and random shapes of this project; images synthesised from the brain "
    "label maps of SynthSeg (Apache-2.0); without their labels, training images of the Medical "
    "Segmentation Decathlon's hippocampus task (CC BY-SA 4.0) and of TCIA's soft-tissue sarcomas "
    "(CC BY 3.0)"
)


def save_general(
    model: SamMed3D, recipe: Recipe, path: Path, *, steps: int, minutes: float, created: date
) -> None:
    """Write averaged weights with everything that the bundle's manifest will say about them.

    Parameters
    ----------
    steps, minutes
        Done so far: a run may be looked at before its end.
    created
        Of the weights.
    """
    details: dict[str, Any] = {
        "recipe": asdict(recipe),
        "pool": dict(POOL),
        "shares": dict(SHARES),
        "steps": steps,
        "minutes": round(minutes),
    }
    release = Release(
        name="demo-general",
        window=WindowSettings.from_rule(small_window_rule()),
        provenance=Provenance(
            source="sammoe train general",
            licence="Apache-2.0",
            created=created,
            training_data=_TRAINING_DATA,
            details=details,
        ),
    )
    save_checkpoint(path, model, release.to_metadata())
