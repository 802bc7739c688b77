"""Data sets of the studies, as nnU-Net folders: ``python -m studies.datasets --out runs/data``.

===============  =====================================================================  ==========
folder           what it holds                                                          labels by
===============  =====================================================================  ==========
hippocampus      T1 crops of the Medical Segmentation Decathlon: anterior, posterior    people
heads            whole synthetic T1 heads, into each of which one such crop is pasted   people, maps
sarcoma_mr       soft-tissue sarcoma of limbs, T1                                       people
sarcoma_ct       the same patients, CT                                                  people
torsos           phantoms as CT: organs, and four structures that are rare in training  synthesis
torsos_mr        phantoms as MR                                                         synthesis
torsos_seen      the CT phantoms again, with half of the organs as classes              synthesis
torsos_fifteen   those and more CT phantoms, with fifteen other structures as classes   synthesis
ch2bet           a real head, for tests alone                                           AAL atlas
totalseg_ct      a real CT, for tests alone                                             a network
===============  =====================================================================  ==========

Real ones come from ``--data``; what is not there is left out. Patients of the cohorts that general
training holds out are test patients here too, and heads are made of brains and crops of one part.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sammoe.training.corpus import BRAIN_LABELS, TRAINING_BRAINS
from sammoe.training.data.anatomy import WHOLES, Part
from sammoe.training.data.brains import brains
from sammoe.training.data.labelmap import LabelMap
from sammoe.training.data.phantoms import torso
from sammoe.training.data.render import render
from sammoe.training.data.split import COHORTS, images, label_of, patient_of
from sammoe.training.datasets.split import CALIBRATE_SHARE, FILE, assign, by_hash
from sammoe.volume.reading import read_volume
from sammoe.volume.volume import Modality
from studies.heads import HEAD_CLASSES, head_with_crop
from studies.real import ch2bet, totalseg_ct

HIPPOCAMPUS = {"hippocampus_anterior": 1, "hippocampus_posterior": 2}
ORGANS = {
    "liver": 200,
    "spleen": 214,
    "kidney_right": 201,
    "kidney_left": 202,
    "stomach": 205,
    "bladder": 207,
    "heart": 208,
    "hip_left": 210,
    "femur_right": 211,
}
SINGLE_ORGANS = {
    "aorta": (Part.AORTA,),
    "gallbladder": (Part.GALLBLADDER,),
    "psoas_right": (Part.PSOAS_R,),
}
SEEN = ("liver", "spleen", "kidney_right", "stomach", "heart", "aorta")
"""Organs whose labels gates learn from; the others, cord and lesion among them, are never labelled
for a gate."""

RARE_WITH_EXPERTS = ("oesophagus", "pancreas")

RARE = {
    "cord": (Part.CORD,),
    "oesophagus": (Part.OESOPHAGUS,),
    "pancreas": (Part.PANCREAS,),
    "lesion": (Part.LIVER_LESION,),
}
FIFTEEN = {
    **RARE,
    "adrenal_right": (Part.ADRENAL_R,),
    "adrenal_left": (Part.ADRENAL_L,),
    "duodenum": (Part.DUODENUM,),
    "prostate": (Part.PROSTATE,),
    "sternum": (Part.STERNUM,),
    "airway": (Part.AIRWAY,),
    "liver_vessels": (Part.LIVER_VESSEL,),
    "heart_wall": (Part.HEART,),
    "stomach_wall": (Part.STOMACH_WALL,),
    "kidney_sinus": (Part.SINUS_R,),
    "sacrum_spongy": (Part.SACRUM_SPONGY,),
}
TEMPLATES = Path("/usr/share/mricron/templates")
SEED = 1  # general training draws its phantoms with seed 0
_PARTS = ("train", "calibrate", "test")
_HEADS_PER_BRAIN = {"train": 4, "calibrate": 6, "test": 12}
_CALIBRATION_BRAINS = 2  # of those that general training leaves; the others are for tests

Labels = Mapping[str, Sequence[int] | int]


def main() -> int:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="real volumes")
    parser.add_argument("--templates", type=Path, default=TEMPLATES, help="of mricron-data")
    parser.add_argument("--out", type=Path, default=Path("runs/data"))
    parser.add_argument("--torsos", type=int, default=72, help="CT phantoms (default 72)")
    parser.add_argument("--torsos-mr", type=int, default=16, help="MR phantoms (default 16)")
    parser.add_argument(
        "--torsos-fifteen", type=int, default=240, help="for fifteen experts (default 240)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    args = parser.parse_args()
    organs, rare = organ_labels(), part_labels(RARE)
    fifteen = organs | part_labels(FIFTEEN)
    torsos(args.out / "torsos", args.torsos, Modality.CT, organs | rare, args.jobs)
    torsos(args.out / "torsos_mr", args.torsos_mr, Modality.MR, organs | rare, args.jobs)
    torsos(args.out / "torsos_fifteen", args.torsos_fifteen, Modality.CT, fifteen, args.jobs)
    seen = {name: values for name, values in organs.items() if name in SEEN}
    own = {name: values for name, values in rare.items() if name in RARE_WITH_EXPERTS}
    relabelled(args.out / "torsos", args.out / "torsos_seen", seen | own)
    if (args.data / "hippocampus").is_dir():
        cohort(args.data, "hippocampus", args.out / "hippocampus", "MR", HIPPOCAMPUS)
    if (args.data / "sts_mr_t1").is_dir():
        cohort(args.data, "sts_mr_t1", args.out / "sarcoma_mr", "MR", {"sarcoma_mr": 1})
    if (args.data / "sts_ct").is_dir():
        cohort(args.data, "sts_ct", args.out / "sarcoma_ct", "CT", {"sarcoma_ct": 1})
    if (args.data / "hippocampus").is_dir() and (args.data / BRAIN_LABELS).is_file():
        heads(args.data, args.out / "heads", args.jobs)
    ch2bet(args.templates, args.out / "ch2bet")
    totalseg_ct(args.data, args.out / "totalseg_ct")
    return 0


def organ_labels() -> dict[str, list[int]]:
    """General class of a torso -> values in its label map."""
    whole = {name: list(map(int, WHOLES[key].parts)) for name, key in ORGANS.items()}
    return whole | part_labels(SINGLE_ORGANS)


def part_labels(parts: Mapping[str, Sequence[Part]]) -> dict[str, list[int]]:
    """Class -> values of its parts."""
    return {name: list(map(int, ids)) for name, ids in parts.items()}


def cohort(data: Path, folder: str, out: Path, modality: str, labels: Labels) -> None:
    """A cohort of real patients; its test patients are those that general training holds out."""
    _begin(out, modality, labels)
    training = [*images(data, folder, part="train")]
    for image in tqdm([*training, *images(data, folder, part="test")], desc=out.name):
        _copy(image, out / "imagesTr" / f"{patient_of(image)}_0000.nii.gz")
        _copy(label_of(image), out / "labelsTr" / f"{patient_of(image)}.nii.gz")
    _write_json(out / FILE, _cohort_parts(data, folder))


def _cohort_parts(data: Path, folder: str) -> dict[str, str]:
    """Patient -> part, one for all folders of a group: an eighth is for calibration."""
    folders = [name for name, group in COHORTS.items() if group == COHORTS[folder]]
    training = {patient_of(p) for name in folders for p in images(data, name, part="train")}
    tests = {patient_of(p) for name in folders for p in images(data, name, part="test")}
    ranked = by_hash(training)
    later = round(CALIBRATE_SHARE * (len(training) + len(tests)))
    parts = {p: "calibrate" if rank < later else "train" for rank, p in enumerate(ranked)}
    return parts | dict.fromkeys(by_hash(tests), "test")


def torsos(out: Path, count: int, modality: Modality, labels: Labels, jobs: int) -> None:
    """Phantoms; number n depends on the modality and n alone."""
    _begin(out, modality.value, labels)
    # Number n as MR is another phantom than as CT, so another patient.
    patient = "torso_mr" if modality is Modality.MR else "torso"
    names = [f"{patient}_{n:03d}" for n in range(count)]
    _side_by_side(partial(_torso, out, modality), list(enumerate(names)), jobs, out.name)
    _write_json(out / FILE, assign(names))


def _torso(out: Path, modality: Modality, n: int, name: str) -> None:
    path = out / "labelsTr" / f"{name}.nii.gz"
    if path.exists():
        return
    rng = np.random.default_rng([SEED, int(modality is Modality.MR), n])
    source = torso(rng)
    image = render(source.labels, source, rng, modality, voxel_mm=source.spacing_mm)
    spacing = (source.spacing_mm,) * 3
    _write(out / "imagesTr" / f"{name}_0000.nii.gz", np.rint(image), spacing, np.int16)
    _write(path, source.labels, spacing, np.uint8)


def relabelled(source: Path, out: Path, labels: Labels) -> None:
    """The same scans and label maps with other classes."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("imagesTr", "labelsTr", FILE):
        if not (out / name).exists():
            (out / name).symlink_to(os.path.relpath(source / name, out))
    _describe(out, "CT", labels)


def heads(data: Path, out: Path, jobs: int) -> None:
    """Whole heads: training brains with training crops, the others with those of their part.

    A patient is a brain here, of which several heads are made.
    """
    maps = [(f"brain_{n:02d}", brain) for n, brain in enumerate(brains(data / BRAIN_LABELS))]
    later = maps[TRAINING_BRAINS:]
    by_part = {
        "train": maps[:TRAINING_BRAINS],
        "calibrate": later[:_CALIBRATION_BRAINS],
        "test": later[_CALIBRATION_BRAINS:],
    }
    parts = _cohort_parts(data, "hippocampus")
    labels = HIPPOCAMPUS | {name: 10 + k for k, name in enumerate(HEAD_CLASSES)}
    _begin(out, "MR", labels)
    used: dict[str, str] = {}
    patients: dict[str, str] = {}
    for part in _PARTS:
        crops = cycle(p for p, of in parts.items() if of == part)
        wanted = []
        # Brains in turn: the first few show all.
        for n, (patient, brain) in enumerate(by_part[part] * _HEADS_PER_BRAIN[part]):
            name = f"head_{part}_{n:03d}"
            patients[name] = patient
            used[patient] = part
            wanted.append((name, brain, next(crops), (SEED, 2, n, _PARTS.index(part))))
        make = partial(_head, data / "hippocampus", out)
        _side_by_side(make, wanted, jobs, f"heads, {part}")
    _write_json(out / "patients.json", patients)
    _write_json(out / FILE, used)


def _head(
    folder: Path, out: Path, name: str, brain: LabelMap, crop: str, seed: Sequence[int]
) -> None:
    """``crop``: name of the patient whose T1 crop, 1 mm, axes R, A, S, is pasted."""
    path = out / "labelsTr" / f"{name}.nii.gz"
    if path.exists():
        return
    t1 = read_volume(folder / "images" / f"{crop}.nii.gz", modality="MR").voxels
    human = read_volume(folder / "labels" / f"{crop}.nii.gz").voxels
    rng = np.random.default_rng(seed)
    image, marked = head_with_crop(brain, t1.astype(np.float32), human.astype(np.uint8), rng)
    spacing = (brain.spacing_mm,) * 3
    _write(out / "imagesTr" / f"{name}_0000.nii.gz", np.rint(4 * image), spacing, np.int16)
    _write(path, marked, spacing, np.uint8)


def _side_by_side(
    make: Callable[..., None], wanted: Sequence[tuple[Any, ...]], jobs: int, title: str
) -> None:
    """Call ``make`` with each tuple of arguments, in processes of their own."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(make, *arguments) for arguments in wanted]
        for done in tqdm(as_completed(running), desc=title, total=len(running)):
            done.result()


def _begin(out: Path, modality: str, labels: Labels) -> None:
    for folder in ("imagesTr", "labelsTr"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    _describe(out, modality, labels)


def _describe(out: Path, modality: str, labels: Labels) -> None:
    about = {
        "channel_names": {"0": modality},
        "labels": {"background": 0, **labels},
        "file_ending": ".nii.gz",
    }
    _write_json(out / "dataset.json", about)


def _write(
    path: Path, voxels: NDArray[np.generic], spacing: tuple[float, ...], dtype: type[np.generic]
) -> None:
    """Write one NIfTI, whole or not at all."""
    affine = np.diag([*spacing, 1.0])
    image = nibabel.Nifti1Image(voxels.astype(dtype), affine)  # type: ignore[no-untyped-call]
    part = path.with_name(f".{path.name}")
    nibabel.save(image, part)
    part.replace(path)


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        shutil.copyfile(source, target)


def _write_json(path: Path, content: object) -> None:
    if not path.is_symlink():
        path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
