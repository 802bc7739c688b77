"""Which patients are never trained on, and the only door to real images for training.

A fifth of the hippocampus subjects and of the sarcoma patients are for testing: those whose
identifiers have the smallest SHA-256. The sarcoma's MR and CT show the same patients and share one
split. ``test_patients.json`` is the committed result; changing it makes old weights' tests void.
"""

import json
from importlib.resources import files
from pathlib import Path

COHORTS = {"hippocampus": "hippocampus", "sts_ct": "sarcoma", "sts_mr_t1": "sarcoma"}
"""Folder that training may read -> group of patients that shares a split."""


def held_out(group: str) -> frozenset[str]:
    """Patients of a group ("hippocampus", "sarcoma") that are only for testing."""
    text = (files("sammoe.training.data") / "test_patients.json").read_text()
    return frozenset(json.loads(text)[group])


def patient_of(path: Path) -> str:
    """Identifier in a file's name: STS_001 of STS_001.nii.gz."""
    return path.name.split(".")[0]


def images(data: Path, folder: str, *, part: str) -> list[Path]:
    """Images of one folder of real data, by name.

    Parameters
    ----------
    data
        Folder that holds the data sets.
    folder
        One of `COHORTS`; any other name raises ``ValueError``, for it is not for training.
    part
        "train" or "test".
    """
    if folder not in COHORTS:
        raise ValueError(f"{folder!r} is not a training set; those are {sorted(COHORTS)}")
    if part not in ("train", "test"):
        raise ValueError(f"part is 'train' or 'test', not {part!r}")
    held = held_out(COHORTS[folder])
    found = sorted((data / folder / "images").glob("*.nii.gz"))
    return [path for path in found if (patient_of(path) in held) == (part == "test")]


def label_of(image: Path) -> Path:
    """The file with the human labels of an image: for experts and tests, never general training."""
    return image.parent.parent / "labels" / image.name
