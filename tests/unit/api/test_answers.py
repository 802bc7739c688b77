from collections.abc import Iterator
from pathlib import Path

import pytest

from sammoe.api.answers import SegmentationOut
from sammoe.store import LocalStore, PromptRecord
from tests.records import add_volume, segmentation_record


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    kept = LocalStore(tmp_path)
    yield kept
    kept.close()


def warnings(store: LocalStore, last: float, voxel_count: int) -> list[str]:
    """Codes for a box from (0, 0, 5) to (2, 3, last) in a window that begins 6 mm up."""
    volume = add_volume(store, shape=(3, 4, 50))
    box = ((0.0, 0.0, 7.0), (2.0, 3.0, last))
    prompt = PromptRecord(points=(), labels=(), box=box)
    record = segmentation_record(store, volume, prompt=prompt, voxel_count=voxel_count)
    return [doubt.code for doubt in SegmentationOut.of(record, volume).warnings]


def test_a_box_within_the_window_and_a_mask_raise_no_doubt(store: LocalStore) -> None:
    assert warnings(store, 15.0, 9) == []


def test_a_box_that_the_window_cuts_is_said(store: LocalStore) -> None:
    assert warnings(store, 40.0, 9) == ["box_clipped"]


def test_an_empty_mask_is_said(store: LocalStore) -> None:
    assert warnings(store, 15.0, 0) == ["mask_empty"]
