"""Checking, migrating, copying: stores as they are after years, after damage, and under load."""

import json
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sammoe.errors import NotFound, StoreUnavailable
from sammoe.store import (
    KeyRecord,
    LocalStore,
    SourceRecord,
    Store,
    StoredResponse,
    VolumeRecord,
    now,
)
from sammoe.store.copying import copy_store
from sammoe.store.folders import owner_folder, volume_folder
from sammoe.store.inspecting import Finding, Inspection
from sammoe.store.migrating import migrate
from sammoe.volume.dicom.source import DicomSource, SliceSource
from tests.records import OWNER, add_volume, fields, segmentation_record, volume_record, voxels

OLD = Path(__file__).resolve().parents[2] / "data" / "store-1"
"""A volume, segmentations in the forms of versions 1 and 2, a result, and a kept answer."""


@pytest.fixture
def old(tmp_path: Path) -> Iterator[LocalStore]:
    shutil.copytree(OLD, tmp_path / "old")
    store = LocalStore(tmp_path / "old")
    yield store
    store.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[LocalStore]:
    store = LocalStore(tmp_path / "other")
    yield store
    store.close()


def findings(store: Store, *, deep: bool = False) -> list[Finding]:
    inspection = Inspection(store.files, deep=deep)
    return [found for path in inspection.paths() if (found := inspection.look(path))]


def filled(store: Store) -> tuple[str, str]:
    """A volume with a segmentation; their ids."""
    volume = add_volume(store, file_digest=secrets.token_hex(32))
    record = segmentation_record(store, volume, id=store.new_id(volume.id))
    store.segmentations.put(record, fields())
    return volume.id, record.id


@pytest.mark.fault("F25")
def test_records_of_an_earlier_version_are_well_and_read(old: LocalStore) -> None:
    assert findings(old) == []
    (volume,) = old.volumes.page(OWNER, None, 9).items
    newer, older = old.segmentations.page(OWNER, volume.id, None, 9).items
    assert (older.schema_version, newer.schema_version, newer.parent) == (1, 2, older.id)
    for record, value in ((older, 2.5), (newer, 1.5)):
        masks = old.segmentations.with_fields(OWNER, record.id)[1]
        np.testing.assert_array_equal(masks["general"].values, value)
    (result,) = old.results.page(OWNER, volume.id, None, 9).items
    assert result.entries[0].segmentation == newer.id


def of_series(store: Store) -> VolumeRecord:
    """A volume of a series that a project shares."""
    source = SourceRecord(study="1.2", series="1.2.3", frame_of_reference=None)
    return add_volume(store, source=source, project="heart")


def test_a_volume_of_before_is_put_on_the_lists_of_now(other: LocalStore) -> None:
    volume = of_series(other)
    other.files.remove_all(f"{owner_folder(OWNER)}/series")
    assert other.volumes.of_series(OWNER, "1.2.3") is None
    path = f"{volume_folder(OWNER, volume.id)}/volume.json"
    assert [migrate(other.files, path) for _ in range(2)] == [True, False]
    assert other.volumes.of_series(OWNER, "1.2.3") == volume


def test_a_copied_volume_is_on_the_same_lists(old: LocalStore, other: LocalStore) -> None:
    volume = of_series(old)
    copy_store(old.files, other.files)
    assert other.volumes.of_series(OWNER, "1.2.3") == volume
    assert other.volumes.ids_in("heart") == [volume.id]
    assert other.volumes.owner_in("heart", volume.id) == OWNER


@pytest.mark.fault("F25")
def test_migrating_changes_the_form_and_nothing_else(old: LocalStore) -> None:
    (volume,) = old.volumes.page(OWNER, None, 9).items
    ids = [record.id for record in old.segmentations.page(OWNER, volume.id, None, 9).items]
    before = {name: old.segmentations.with_fields(OWNER, name) for name in ids}
    paths = [path for path in Inspection(old.files).paths() if path.endswith(".seg")]
    assert sorted(migrate(old.files, path) for path in paths) == [False, True]
    assert not any(migrate(old.files, path) for path in paths)
    assert findings(old) == []
    for name, (record, masks) in before.items():
        now, found = old.segmentations.with_fields(OWNER, name)
        assert now.schema_version == 2
        assert now.model_copy(update={"schema_version": 1, "fields": None}) == record.model_copy(
            update={"schema_version": 1, "fields": None}
        )
        for candidate, field in masks.items():
            np.testing.assert_array_equal(found[candidate].values, field.values)
            assert found[candidate].start == field.start


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def gone(path: Path) -> None:
    path.unlink()


def newer(path: Path) -> None:
    text = json.loads(path.read_text()) | {"schema_version": 99}
    path.write_text(json.dumps(text))


def moved(path: Path) -> None:
    text = json.loads(path.read_text()) | {"owner": "bob"}
    path.write_text(json.dumps(text))


@pytest.mark.fault("F25")
@pytest.mark.parametrize(
    ("pattern", "harm", "fault"),
    [
        ("*/volume.json", cut, "damaged"),
        ("*/volume.json", newer, "newer"),
        ("*/volume.json", moved, "damaged"),
        ("*/voxels.npy", cut, "damaged"),
        ("*/voxels.npy", gone, "missing"),
        ("*.seg", cut, "damaged"),
        ("*/results/*.json", cut, "damaged"),
        ("*/segmentations/*.seg", gone, "missing"),
    ],
)
def test_each_record_that_is_not_well_is_named(
    old: LocalStore, tmp_path: Path, pattern: str, harm: Callable[[Path], None], fault: str
) -> None:
    places = sorted((tmp_path / "old").glob(f"owners/*/volumes/{pattern}")) or sorted(
        path for path in (tmp_path / "old").rglob("*") if path.match(pattern)
    )
    harm(places[-1])
    (found,) = findings(old)
    assert found.fault == fault
    assert "alice" not in found.path + found.detail
    inspection = Inspection(old.files)
    assert inspection.quarantine(found) == (fault != "newer")
    if fault == "newer":
        assert findings(old) == [found]
    for left in findings(old):  # a result whose segmentation was put aside is not well either
        assert left.fault == ("newer" if fault == "newer" else "missing")
        inspection.quarantine(left)
    assert (findings(old) == []) == (fault != "newer")
    aside = tmp_path / "old" / "quarantine" / found.path
    assert aside.exists() == (fault != "newer")


def test_voxels_that_changed_are_found_by_reading_them(old: LocalStore, tmp_path: Path) -> None:
    # Their digest is made up.
    assert [found.fault for found in findings(old, deep=True)] == ["damaged"]


def test_a_copy_is_the_store(old: LocalStore, other: LocalStore, tmp_path: Path) -> None:
    key = old.responses.get(OWNER, "key", "digest")
    source = DicomSource("1.2", "1.2.3", "1.2.9", (SliceSource("1.2.3.4", 1),), (b"header",))
    series = SourceRecord.of(source)
    shared = volume_record(old, file_digest="e" * 64, project="tumours", source=series)
    old.volumes.add(shared, voxels(), source.pack())
    answer = StoredResponse(201, {}, b"{}", shared.id, shared.owner)
    old.responses.put("bob", "key", "digest", answer)
    old.keys.add(
        KeyRecord(id=old.new_id(), owner="bob", created=now(), digest="f" * 64, role="reader")
    )
    copied = copy_store(old.files, other.files)
    assert (copied.volumes, copied.segmentations, copied.results, copied.answers) == (2, 2, 1, 2)
    assert findings(other) == []

    def content(root: Path) -> dict[str, bytes]:
        found = {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file()
        }
        return {path: text for path, text in found.items() if not path.startswith("tmp/")}

    assert content(tmp_path / "other") == content(tmp_path / "old")
    assert key == other.responses.get(OWNER, "key", "digest")
    with pytest.raises(StoreUnavailable, match="has records"):
        copy_store(old.files, other.files)


def test_a_copy_taken_under_load_is_well(old: LocalStore, other: LocalStore) -> None:
    stop, made = threading.Event(), threading.Event()

    def work(number: int) -> None:
        turn = 0
        while not stop.is_set():
            volume, name = filled(old)
            answer = StoredResponse(201, {}, b"{}", volume)
            old.responses.put(OWNER, f"{number} {turn}", "digest", answer)
            if turn % 2:
                old.segmentations.delete(OWNER, name)
                old.volumes.delete(OWNER, volume)
            turn += 1
            if turn > 4:
                made.set()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    try:
        assert made.wait(60)
        done: list[int] = []
        copied = copy_store(old.files, other.files, lambda n, total: done.append(total - n))
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert done[-1] == 0
    assert copied.volumes > 3
    assert findings(other) == []
    for record in other.volumes.page(OWNER, None, 1000).items:
        assert other.volumes.voxels(record).shape == record.shape
        for answer in other.segmentations.page(OWNER, record.id, None, 1000).items:
            assert other.segmentations.with_fields(OWNER, answer.id)[1]


def test_what_is_not_well_is_copied_as_it_is(
    old: LocalStore, other: LocalStore, tmp_path: Path
) -> None:
    for path in (tmp_path / "old").rglob("*.json"):
        if path.parent.name == "results":
            cut(path)
    copy_store(old.files, other.files)
    (found,) = findings(other)
    Inspection(other.files).remove(found)
    assert findings(other) == []
    (volume,) = other.volumes.page(OWNER, None, 9).items
    assert other.results.page(OWNER, volume.id, None, 9).items == ()
    with pytest.raises(NotFound):
        other.results.get(OWNER, found.path.rpartition("/")[2].partition(".")[0])
