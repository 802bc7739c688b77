"""Train, calibrate, test: by patient, decided once, written down.

Of a folder's patients the fifth whose names have the smallest SHA-256 is for tests, the eighth
after it for calibration, the others for training. So a part depends on who else is in the folder:
folders that show the same patients need one split. It is kept as ``split.json`` beside the data,
and what stands there is never changed: new patients are trained on.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sammoe.errors import DataSetInvalid
from sammoe.files import replacing
from sammoe.training.datasets.dataset import Case, DataSet
from sammoe.training.datasets.objects import read_object, some
from sammoe.training.telling import tell

Part = Literal["train", "calibrate", "test"]
TEST_SHARE, CALIBRATE_SHARE = 0.2, 0.125
FILE = "split.json"


@dataclass(frozen=True)
class Split:
    """Part -> its cases."""

    train: tuple[Case, ...]
    calibrate: tuple[Case, ...]
    test: tuple[Case, ...]

    def cases(self, part: Part) -> tuple[Case, ...]:
        """Of one part."""
        found: tuple[Case, ...] = getattr(self, part)
        return found


def split_patients(dataset: DataSet, file: Path | None = None) -> Split:
    """The split of a data set, read from its file or made and written there.

    Parameters
    ----------
    file
        Default: ``split.json`` in the data set's folder. Where that can not be written, the split
        is the same the next time all the same, as long as no patient is added; who runs the
        command is told.

    Raises
    ------
    DataSetInvalid
        The file is malformed; or it holds out patients whom the data set lacks while others are
        new, who may be the same under new names.
    """
    path = file or dataset.root / FILE
    if path.is_file():
        parts = _read(path)
        _check_names(dataset, parts, path)
    else:
        parts = assign({case.patient for case in dataset.cases})
        _keep(parts, path)
    by_part: dict[str, list[Case]] = {part: [] for part in get_args(Part)}
    for case in dataset.cases:
        by_part[parts.get(case.patient, "train")].append(case)
    return Split(*(tuple(by_part[part]) for part in get_args(Part)))


def check_patients(splits: Iterable[tuple[DataSet, Split]]) -> None:
    """Check that every patient has one part in all data sets that are used together.

    Raises
    ------
    DataSetInvalid
        One has two; the detail names the patient and says what to do.
    """
    known: dict[str, tuple[str, DataSet]] = {}
    for dataset, split in splits:
        for part in get_args(Part):
            for case in split.cases(part):
                before, other = known.setdefault(case.patient, (part, dataset))
                if before != part:
                    raise DataSetInvalid(
                        f"patient {case.patient} is in the part {before} of {other.root}, and in"
                        f" {part} of {dataset.root}: give both folders one {FILE}; or, if these are"
                        " two people, name them apart in a patients.json"
                    )


def assign(patients: Iterable[str]) -> dict[str, str]:
    """Patient -> part, for patients of one data set. At least one for training is left."""
    ranked = by_hash(patients)
    tests = round(TEST_SHARE * len(ranked))
    others = tests + max(round(CALIBRATE_SHARE * len(ranked)), int(len(ranked) > 2))
    return {
        patient: "test" if rank < tests else "calibrate" if rank < others else "train"
        for rank, patient in enumerate(ranked)
    }


def by_hash(patients: Iterable[str]) -> list[str]:
    """Patients in the order of their names' SHA-256."""
    return sorted(set(patients), key=lambda p: hashlib.sha256(p.encode()).hexdigest())


def _keep(parts: Mapping[str, str], path: Path) -> None:
    """Write the file whole or not at all: half of one would be refused by the next command."""
    try:
        with replacing(path) as stream:
            stream.write((json.dumps(parts, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        tell(
            f"{path} can not be written ({error.strerror}), so the split is not kept: once patients"
            " are added it is another one, and some who were trained on may be test patients; run a"
            " command once where the folder can be written"
        )


def _check_names(dataset: DataSet, parts: Mapping[str, str], path: Path) -> None:
    """A ``patients.json`` that came later must not turn test patients into new ones."""
    patients = {case.patient for case in dataset.cases}
    new = sorted(patients - parts.keys())
    gone = sorted(name for name in parts.keys() - patients if parts[name] != "train")
    if new and gone:
        raise DataSetInvalid(
            f"{path} holds out {some(gone)}, not to be found in the data set, and does not know"
            f" {some(new)}: if they were renamed, rename them there; if not, name their part there"
        )


def _read(path: Path) -> dict[str, str]:
    parts = read_object(path)
    if any(part not in get_args(Part) for part in parts.values()):
        raise DataSetInvalid(f"{path} must say train, calibrate or test for each patient")
    return parts
