"""Real scans that nobody trains on, as data sets whose only part is the test.

``ch2bet``: the T1 template of MRIcron with the AAL atlas, a case per side. AAL does not divide the
hippocampus: here its front 41 % is the anterior part, the mean over the Decathlon's labels.
``totalseg_ct``: TotalSegmentator's example, labelled by its network.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np

from sammoe.training.datasets.split import FILE
from sammoe.volume.reading import read_volume

ANTERIOR_SHARE = 0.41
AAL = {"hippocampus": 37, "caudate": 71, "putamen": 73, "thalamus": 77}
"""Structure -> AAL's number of the left one; the right one's is one higher."""

CT_CLASSES = {
    "pancreas": [7],
    "cord": [79],
    "liver": [5],
    "spleen": [1],
    "kidney_right": [2],
    "kidney_left": [3],
    "stomach": [6],
    "bladder": [21],
    "aorta": [52],
}


def ch2bet(templates: Path, out: Path) -> None:
    """Write the data set of the whole real head; nothing where MRIcron's templates are missing."""
    image, atlas = templates / "ch2bet.nii.gz", templates / "aal.nii.gz"
    if not (image.is_file() and atlas.is_file()):
        return
    labels = read_volume(atlas)
    classes = ["hippocampus_anterior", "hippocampus_posterior", *list(AAL)[1:]]
    _begin(out, "MR", {name: k + 1 for k, name in enumerate(classes)})
    for side, offset in (("left", 0), ("right", 1)):
        marked = np.zeros(labels.voxels.shape, np.uint8)
        for k, number in enumerate(list(AAL.values())[1:]):
            marked[labels.voxels == number + offset] = 3 + k
        whole = np.argwhere(labels.voxels == AAL["hippocampus"] + offset)
        front = labels.geometry.index_to_ras(whole)[:, 1]
        cut = front.max() - ANTERIOR_SHARE * (front.max() - front.min())
        marked[tuple(whole.T)] = np.where(front > cut, 1, 2)
        target = out / "labelsTr" / f"ch2bet_{side}.nii.gz"
        affine = labels.geometry.affine
        nibabel.save(nibabel.Nifti1Image(marked, affine), target)  # type: ignore[no-untyped-call]
        _link(image, out / "imagesTr" / f"ch2bet_{side}_0000.nii.gz")
    _test_only(out, ("ch2bet_left", "ch2bet_right"))


def totalseg_ct(data: Path, out: Path) -> None:
    """Write the data set of the real CT."""
    source = data / "totalseg_ct"
    if not source.is_dir():
        return
    _begin(out, "CT", CT_CLASSES)
    _link(source / "example_ct.nii.gz", out / "imagesTr" / "example_0000.nii.gz")
    _link(source / "example_seg_fast_force_split.nii.gz", out / "labelsTr" / "example.nii.gz")
    _test_only(out, ("example",))


def _begin(out: Path, modality: str, labels: Mapping[str, object]) -> None:
    for folder in ("imagesTr", "labelsTr"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    about = {
        "channel_names": {"0": modality},
        "labels": {"background": 0, **labels},
        "file_ending": ".nii.gz",
    }
    (out / "dataset.json").write_text(json.dumps(about, indent=1) + "\n")


def _link(source: Path, target: Path) -> None:
    if not target.exists():
        target.symlink_to(source.resolve())


def _test_only(out: Path, cases: tuple[str, ...]) -> None:
    (out / FILE).write_text(json.dumps(dict.fromkeys(cases, "test"), indent=1) + "\n")
