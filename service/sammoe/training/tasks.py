"""A task in data sets: which of their classes it is, and which of their scans teach it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from sammoe.bundle import Expert
from sammoe.training.datasets import Case, DataSet, check_patients, split_patients
from sammoe.volume.volume import Modality


def require(datasets: Sequence[DataSet], classes: Sequence[str]) -> None:
    """Check that every class is somewhere, and that every data set has one of them.

    Raises
    ------
    DataSetInvalid
        It is not so; the detail names the folder and lists what it has.
    """
    for name in classes:
        if not any(name in dataset.classes for dataset in datasets):
            datasets[0].require((name,))
    for dataset in datasets:
        if not set(classes) & set(dataset.classes):
            dataset.require(tuple(classes))


def known_modalities(datasets: Sequence[DataSet]) -> list[str]:
    """What the data sets say that they hold; empty where none says it."""
    said = {case.modality for dataset in datasets for case in dataset.cases}
    return sorted(modality.value for modality in said - {Modality.UNKNOWN})


def task_cases(
    datasets: Sequence[DataSet], expert: Expert
) -> dict[Literal["train", "calibrate"], list[Case]]:
    """Cases in which the task can be labelled, of patients that are not for tests.

    A case whose modality nobody knows is of the expert's, if that has one alone.

    Raises
    ------
    DataSetInvalid
        See `split_patients` and `check_patients`.
    """
    found: dict[Literal["train", "calibrate"], list[Case]] = {"train": [], "calibrate": []}
    splits = [split_patients(dataset) for dataset in datasets]
    check_patients(zip(datasets, splits, strict=True))
    for split in splits:
        for part, cases in found.items():
            cases += [
                _known(case, expert)
                for case in split.cases(part)
                if set(case.labels) & set(expert.classes)
            ]
    return found


def _known(case: Case, expert: Expert) -> Case:
    if case.modality is Modality.UNKNOWN and len(expert.modalities) == 1:
        return replace(case, modality=Modality(expert.modalities[0]))
    return case
