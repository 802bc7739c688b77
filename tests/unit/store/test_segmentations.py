"""Segmentations in the store."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from sammoe.errors import NotFound, StoreUnavailable
from sammoe.store import LocalStore, SegmentationRecord, rounded
from sammoe.store.folder_files import FolderFiles
from sammoe.store.frames import frame
from sammoe.store.logits import pack_logits
from tests.records import CELLS, OWNER, add_volume, logits, segmentation_record


def test_round_trip(store: LocalStore) -> None:
    volume = add_volume(store)
    record = segmentation_record(store, volume)
    store.segmentations.put(record, logits(2.5))
    assert store.segmentations.get(OWNER, record.id) == record
    read, windows = store.segmentations.with_logits(OWNER, record.id)
    assert read == record
    for name, block in logits(2.5)[0].items():
        np.testing.assert_array_equal(windows[0][name], block)
        assert windows[0][name].dtype == np.float32
        assert not windows[0][name].flags.writeable


def test_record_of_an_earlier_version_is_read(store: LocalStore) -> None:
    text = segmentation_record(store, add_volume(store)).model_dump(mode="json")
    del text["warnings"], text["route"]["agreement"], text["route"]["distance"]
    record = SegmentationRecord.parse(json.dumps(text).encode())
    assert record.warnings == ()
    assert (record.route.agreement, record.route.distance) == (None, None)


def test_another_store_reads_the_same(store: LocalStore, root: Path) -> None:
    record = segmentation_record(store, add_volume(store))
    store.segmentations.put(record, logits())
    again = LocalStore(root)
    assert again.segmentations.get(OWNER, record.id) == record
    again.close()


def test_another_principal_finds_nothing(store: LocalStore) -> None:
    volume = add_volume(store)
    add_volume(store, owner="bob")
    record = segmentation_record(store, volume)
    store.segmentations.put(record, logits())
    for name in (record.id, store.new_id(), "../x"):
        with pytest.raises(NotFound, match="no such segmentation"):
            store.segmentations.get("bob", name)
        with pytest.raises(NotFound, match="no such segmentation"):
            store.segmentations.delete("bob", name)
    with pytest.raises(NotFound):
        store.segmentations.page("bob", volume.id, None, 9)


def test_record_moved_to_another_owner_stays_hidden(store: LocalStore, root: Path) -> None:
    record = segmentation_record(store, add_volume(store))
    store.segmentations.put(record, logits())
    bobs = add_volume(store, owner="bob")
    (file,) = root.rglob("*.seg")
    (folder,) = root.glob(f"owners/*/volumes/{bobs.id}")
    (folder / "segmentations").mkdir()
    (folder / "segmentations" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(NotFound):
        store.segmentations.get("bob", record.id)


def test_it_is_found_among_volumes_and_in_the_one_named(store: LocalStore) -> None:
    volumes = [add_volume(store, file_digest=f"{n:064}") for n in range(3)]
    records = [segmentation_record(store, volume) for volume in volumes]
    for record in records:
        store.segmentations.put(record, logits())
    for record, volume in zip(records, volumes, strict=True):
        assert store.segmentations.get(OWNER, record.id) == record
        assert store.segmentations.with_logits(OWNER, record.id, volume.id)[0] == record
    with pytest.raises(NotFound):
        store.segmentations.with_logits(OWNER, records[0].id, volumes[1].id)


def test_pages_hold_one_volume_s(store: LocalStore) -> None:
    volume, other = add_volume(store), add_volume(store, file_digest="e" * 64)
    made = []
    for _ in range(3):
        record = segmentation_record(store, volume)
        store.segmentations.put(record, logits())
        made.append(record.id)
    store.segmentations.put(segmentation_record(store, other), logits())
    first = store.segmentations.page(OWNER, volume.id, None, 2)
    rest = store.segmentations.page(OWNER, volume.id, first.cursor, 2)
    assert [record.id for record in first.items + rest.items] == made[::-1]
    assert rest.cursor is None


def test_deleting_one(store: LocalStore) -> None:
    record = segmentation_record(store, add_volume(store))
    store.segmentations.put(record, logits())
    store.segmentations.delete(OWNER, record.id)
    with pytest.raises(NotFound):
        store.segmentations.get(OWNER, record.id)
    with pytest.raises(NotFound):
        store.segmentations.delete(OWNER, record.id)


def test_deleting_the_volume_takes_them_along(store: LocalStore, root: Path) -> None:
    volume = add_volume(store)
    record = segmentation_record(store, volume)
    store.segmentations.put(record, logits())
    store.volumes.delete(OWNER, volume.id)
    with pytest.raises(NotFound):
        store.segmentations.with_logits(OWNER, record.id)
    with pytest.raises(NotFound, match="volume"):
        store.segmentations.put(segmentation_record(store, volume), logits())
    assert list(root.rglob("*.seg")) == []


def test_torn_file_is_named(store: LocalStore, root: Path) -> None:
    record = segmentation_record(store, add_volume(store))
    store.segmentations.put(record, logits())
    (file,) = root.rglob("*.seg")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StoreUnavailable, match="damaged"):
        store.segmentations.with_logits(OWNER, record.id)


def test_logits_that_are_not_those_of_the_header_are_damaged(store: LocalStore) -> None:
    record = segmentation_record(store, add_volume(store))
    fewer = {name: block[:2] for name, block in logits()[0].items()}
    store.segmentations.put(record, [fewer])
    with pytest.raises(StoreUnavailable, match="damaged"):
        store.segmentations.with_logits(OWNER, record.id)


def test_logits_are_kept_as_deflated_float16(store: LocalStore, root: Path) -> None:
    values = rounded(np.random.default_rng(0).normal(0, 9, (CELLS,) * 3).astype(np.float32))
    record = segmentation_record(store, add_volume(store))
    store.segmentations.put(record, [{"general": values, "fused": np.zeros_like(values)}])
    (file,) = root.rglob("*.seg")
    header = record.model_dump_json().encode()
    assert file.stat().st_size < 28 + len(header) + 2 * CELLS**3 + 100
    _, (read,) = store.segmentations.with_logits(OWNER, record.id)
    np.testing.assert_array_equal(read["general"], values)


def test_logits_of_an_earlier_version_are_read(store: LocalStore, root: Path) -> None:
    record = segmentation_record(store, add_volume(store))
    store.segmentations.put(record, logits())
    (file,) = root.rglob("*.seg")
    values = np.random.default_rng(0).normal(0, 9, (2, *(CELLS,) * 3)).astype("<f4")
    file.write_bytes(b"".join(frame(record.model_dump_json().encode(), [values.data])))
    _, (read,) = store.segmentations.with_logits(OWNER, record.id)
    np.testing.assert_array_equal(read["general"], values[0])
    np.testing.assert_array_equal(read["fused"], values[1])


def test_rounding_is_to_what_is_read_again() -> None:
    values = np.array([0.1, -1e-3, 1e9, -1e9, 3.0], np.float32)
    once = rounded(values)
    np.testing.assert_array_equal(rounded(once), once)
    np.testing.assert_array_equal(np.sign(once), np.sign(values))
    assert np.isfinite(once).all()


def test_every_cut_of_logits_is_noticed(store: LocalStore, root: Path) -> None:
    record = segmentation_record(store, add_volume(store))
    header = record.model_dump_json().encode()
    whole = pack_logits(record, logits())
    store.segmentations.put(record, logits())
    (file,) = root.rglob("*.seg")
    for payload in (*(whole[:length] for length in range(len(whole))), zlib.compress(b"x" * 9999)):
        file.write_bytes(b"".join(frame(header, [payload])))
        with pytest.raises(StoreUnavailable, match="damaged"):
            store.segmentations.with_logits(OWNER, record.id)


def test_a_search_asks_the_volume_that_the_id_speaks_for(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = [add_volume(store, file_digest=f"{n:064}") for n in range(20)]
    name = store.new_id(volumes[7].id)
    record = segmentation_record(store, volumes[7], id=name)
    store.segmentations.put(record, logits())
    asked: list[str] = []
    start = FolderFiles.read_start

    def read_start(files: FolderFiles, path: str, size: int) -> bytes:
        asked.append(path)
        return start(files, path, size)

    monkeypatch.setattr(FolderFiles, "read_start", read_start)
    assert store.segmentations.get(OWNER, name) == record
    assert len(asked) == 1
