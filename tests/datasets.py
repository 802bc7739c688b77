"""Small labelled scans on disk, in the two layouts that training reads."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SHAPE = (22, 20, 18)
AFFINE: NDArray[np.float64] = np.diag([-2.0, 2.0, 3.0, 1.0])
"""Voxel index to RAS+ mm: the first axis runs from right to left."""

CLASSES = {"ball": 1, "cube": 2}


def write_scan(path: Path, voxels: NDArray[Any], affine: NDArray[np.float64] = AFFINE) -> Path:
    """A NIfTI file; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)  # type: ignore[no-untyped-call]
    return path


def scan(name: str) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Image and labels of a case: a bright ball (1), a darker cube (2), noise; a function of the
    name."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.uint8)
    centre = rng.integers((5, 5, 5), (9, 9, 12))
    labels[np.square(np.indices(SHAPE).T - centre).sum(-1).T < 12] = 1
    x, y, z = rng.integers((13, 4, 3), (16, 12, 11))
    labels[x : x + 5, y : y + 6, z : z + 4] = 2
    image = np.array([60, 220, 140])[labels] + rng.normal(0, 6, SHAPE)
    return image.astype(np.int16), labels


def write_nnunet(
    root: Path,
    cases: Sequence[str],
    *,
    classes: Mapping[str, Any] = CLASSES,
    modality: str = "MR",
    patients: Mapping[str, str] | None = None,
) -> Path:
    """An nnU-Net folder (version 2) of `scan` for each name; returns ``root``."""
    scans = {name: scan(name) for name in cases}
    write_labelled(root, scans, classes, modality=modality)
    if patients is not None:
        (root / "patients.json").write_text(json.dumps(patients))
    return root


def write_labelled(
    root: Path,
    scans: Mapping[str, tuple[NDArray[Any], NDArray[np.uint8]]],
    classes: Mapping[str, Any],
    affine: NDArray[np.float64] = AFFINE,
    *,
    modality: str = "MR",
) -> Path:
    """An nnU-Net folder (version 2) of these images and label maps; returns ``root``."""
    for name, (image, labels) in scans.items():
        write_scan(root / "imagesTr" / f"{name}_0000.nii.gz", image, affine)
        write_scan(root / "labelsTr" / f"{name}.nii.gz", labels, affine)
    about = {
        "channel_names": {"0": modality},
        "labels": {"background": 0, **classes},
        "numTraining": len(scans),
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(about))
    return root


def write_sam_med3d(root: Path, cases: Sequence[str], *, source: str = "mr_clinic") -> Path:
    """A SAM-Med3D folder of the same scans: one binary label map per class; returns ``root``."""
    for name in cases:
        image, labels = scan(name)
        for kind, value in CLASSES.items():
            folder = root / kind / source
            write_scan(folder / "imagesTr" / f"{name}.nii.gz", image)
            write_scan(folder / "labelsTr" / f"{name}.nii.gz", (labels == value).astype(np.uint8))
    return root
