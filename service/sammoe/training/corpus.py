"""What the demo's general model learns from: sources, shares and windows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from sammoe.training.data.brains import brains
from sammoe.training.data.sources import load_pool, make_pool
from sammoe.training.data.split import images
from sammoe.training.mixture import Sampler
from sammoe.training.real import ScanSampler
from sammoe.training.sampling import LabelMapSampler
from sammoe.volume.reading import read_volume
from sammoe.volume.volume import Volume
from sammoe.volume.window import WindowRule

SHARES = {"torsos": 0.44, "brains": 0.44, "shapes": 0.06, "scans": 0.06}
POOL = {"torso": 400, "shapes": 120}
BRAIN_LABELS = Path("synthseg", "synthseg20_labels_3mm_64.npz")
TRAINING_BRAINS = 16
"""The first of the brain label maps; the others are for calibration and tests."""
_SCAN_MODALITY: dict[str, Literal["CT", "MR"]] = {
    "sts_ct": "CT",
    "sts_mr_t1": "MR",
    "hippocampus": "MR",
}


def small_window_rule() -> WindowRule:
    """Windows of the demo bundle: 64 voxels, 96 / 192 / 288 mm wide."""
    return WindowRule(
        side=64,
        patch=8,
        spacings=(1.5, 3.0, 4.5),
        default_spacing={"CT": 3.0, "MR": 1.5, "unknown": 1.5},
        ct_clamp=(-200.0, 300.0),
        antialias=True,
    )


def samplers(
    pool: Path, data: Path, rule: WindowRule, prompts: int, workers: int = 0
) -> list[tuple[float, Sampler]]:
    """Weighted samplers over the phantom pool, the brain label maps and unlabelled scans.

    Parameters
    ----------
    pool
        Folder of generated phantoms; what is missing is made first.
    data
        Folder of real volumes: brain label maps, and training patients' images. No label of a
        real scan is read.
    workers
        Processes that make phantoms; 0: this one.
    """
    make_pool(pool, POOL, workers=workers)
    scans = list(tqdm(training_scans(data), desc="scans", unit="scan"))
    heads = brains(data / BRAIN_LABELS)[:TRAINING_BRAINS]
    return [
        (SHARES["torsos"], LabelMapSampler(load_pool(pool, "torso"), rule, prompts)),
        (
            SHARES["brains"],
            LabelMapSampler(heads, rule, prompts),
        ),
        (SHARES["shapes"], LabelMapSampler(load_pool(pool, "shapes"), rule, prompts)),
        (SHARES["scans"], ScanSampler(scans, rule, prompts)),
    ]


def training_scans(data: Path) -> Iterator[Volume]:
    """Images of patients who are in no test set."""
    for folder, modality in _SCAN_MODALITY.items():
        for path in images(data, folder, part="train"):
            yield read_volume(path, modality=modality)
