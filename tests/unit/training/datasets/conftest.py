"""A small data set, and where its labels lie."""

from pathlib import Path

import pytest

from sammoe.training.datasets import Case
from tests.datasets import write_nnunet

NAMES = ("anna", "bert", "cleo")


def label_file(case: Case) -> Path:
    """Of a case that has one."""
    (path,) = {source.path for source in case.labels.values()}
    return path


@pytest.fixture
def nnunet(tmp_path: Path) -> Path:
    """A folder in nnU-Net's layout."""
    return write_nnunet(tmp_path / "clinic", NAMES)
