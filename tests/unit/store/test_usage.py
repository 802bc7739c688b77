"""Quotas."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sammoe.errors import QuotaExceeded
from sammoe.store import Keeping, LocalStore, StoredResponse, StoreLimits
from sammoe.store.folder_files import FolderFiles
from sammoe.store.usage import RECOUNT_SECONDS, Usage
from sammoe.volume.field import Field
from sammoe.volume.window import Window
from tests.records import CELLS, OWNER, add_volume, fields, segmentation_record

LIMITS = StoreLimits(
    volumes=Keeping(quota_bytes=2500),
    segmentations=Keeping(quota_bytes=4000),
    responses=Keeping(quota_bytes=1000),
)


@pytest.fixture
def store(root: Path) -> Iterator[LocalStore]:
    """Room for two small volumes, two segmentations or so, and two answers."""
    store = LocalStore(root, LIMITS)
    yield store
    store.close()


def fill(store: LocalStore, start: int = 0) -> int:
    """Add volumes until there is no room left; how many."""
    for number in range(start, 100):
        try:
            add_volume(store, file_digest=f"{number:064}")
        except QuotaExceeded:
            return number - start
    raise AssertionError


def test_volumes_of_one_principal(store: LocalStore, root: Path) -> None:
    count = fill(store)
    assert count >= 1
    with pytest.raises(QuotaExceeded, match="volumes may take 2500 bytes"):
        add_volume(store, file_digest="e" * 64)
    assert len(store.volumes.ids(OWNER)) == count
    add_volume(store, owner="bob")
    # The same upload is no new volume.
    first = store.volumes.ids(OWNER)[0]
    store.volumes.delete(OWNER, first)
    assert fill(store, start=50) >= 1
    again = LocalStore(root, LIMITS)
    with pytest.raises(QuotaExceeded):
        add_volume(again, file_digest="d" * 64)
    again.close()


def test_segmentations_of_one_principal(store: LocalStore) -> None:
    volume = add_volume(store)
    chance = np.random.default_rng(0)
    noise = chance.normal(0, 9, (CELLS,) * 3).astype(np.float32)
    field = Field.of_window(Window(1.5, (0, -2, 4), 8), noise)
    made = 0
    full = False
    while not full:
        record = segmentation_record(store, volume)
        try:
            store.segmentations.put(record, {"general": field, "fused": field})
            made += 1
        except QuotaExceeded:
            full = True
    assert 1 <= made < 10
    assert len(store.segmentations.page(OWNER, volume.id, None, 99).items) == made
    store.segmentations.delete(OWNER, record_ids(store, volume.id)[0])
    store.segmentations.put(segmentation_record(store, volume), fields())


def record_ids(store: LocalStore, volume_id: str) -> list[str]:
    """Ids of a volume's segmentations."""
    return [each.id for each in store.segmentations.page(OWNER, volume_id, None, 99).items]


def test_answers_of_one_principal(store: LocalStore) -> None:
    store.responses.put(OWNER, "1", "digest", StoredResponse(200, {}, b"x" * 400))
    with pytest.raises(QuotaExceeded, match="responses"):
        store.responses.put(OWNER, "2", "digest", StoredResponse(200, {}, b"x" * 600))
    assert store.responses.get(OWNER, "2", "digest") is None


def test_lists_are_read_seldom(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    files = FolderFiles(root)
    counted: list[str] = []
    entries = FolderFiles.entries

    def listed(self: FolderFiles, folder: str) -> object:
        counted.append(folder)
        return entries(self, folder)

    monkeypatch.setattr(FolderFiles, "entries", listed)
    usage = Usage(files, LIMITS, lambda: clock[0])
    for _ in range(5):
        usage.take(OWNER, "volumes", 100)
    assert len(counted) == 1
    clock[0] = RECOUNT_SECONDS + 1
    # What was only promised is counted no more.
    for _ in range(20):
        usage.take(OWNER, "volumes", 100)
    assert len(counted) == 2
    Usage(files, StoreLimits()).take(OWNER, "volumes", 10**12)
    assert len(counted) == 2
    files.close()
