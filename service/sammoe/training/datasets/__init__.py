"""Folders of labelled scans: what they hold, and which patients are for what."""

from sammoe.training.datasets.dataset import Case, DataSet, LabelSource
from sammoe.training.datasets.modalities import HOW_TO_SAY
from sammoe.training.datasets.reading import load_dataset, load_datasets
from sammoe.training.datasets.split import Part, Split, check_patients, split_patients

__all__ = [
    "HOW_TO_SAY",
    "Case",
    "DataSet",
    "LabelSource",
    "Part",
    "Split",
    "check_patients",
    "load_dataset",
    "load_datasets",
    "split_patients",
]
