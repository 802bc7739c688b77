"""Segmentations in the store."""

import json
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

from sammoe.errors import NotFound, QuotaExceeded, StoreUnavailable
from sammoe.store import Keeping, LocalStore, SegmentationRecord, StoreLimits, now, rounded
from sammoe.store.files import Versioned
from sammoe.store.folder_files import FolderFiles
from sammoe.store.frames import frame
from sammoe.store.logits import deflated
from sammoe.volume.field import Field
from sammoe.volume.window import Window
from tests.records import OWNER, add_volume, fields, segmentation_record


def test_round_trip(store: LocalStore) -> None:
    volume = add_volume(store)
    record = segmentation_record(store, volume)
    kept = store.segmentations.put(record, fields(2.5))
    assert store.segmentations.get(OWNER, record.id) == kept
    assert kept.candidates == ("general", "fused")
    assert kept.model_copy(update={"fields": None}) == record
    read, found = store.segmentations.with_fields(OWNER, record.id)
    assert read == kept
    for name, field in fields(2.5).items():
        same_field(found[name], field)
        assert not found[name].values.flags.writeable


def test_a_rival_is_written_down_where_there_is_one(store: LocalStore) -> None:
    """Programs that know of none read the others' records."""
    record = segmentation_record(store, add_volume(store))
    assert "rival" not in json.loads(record.model_dump_json())["route"]
    named = record.model_copy(update={"route": record.route.model_copy(update={"rival": "liver"})})
    assert SegmentationRecord.parse(named.model_dump_json().encode()) == named
    assert json.loads(named.model_dump_json())["route"]["rival"] == "liver"


def same_field(one: Field, other: Field) -> None:
    assert (one.spacing, one.patch, one.start) == (other.spacing, other.patch, other.start)
    assert one.values.dtype == np.float32
    np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize("patch", [8, 6, 1])
def test_sparse_field_comes_back_with_its_gaps(store: LocalStore, patch: int) -> None:
    values = np.full((52, 24, 20), np.nan, np.float32)
    noise = rounded(np.random.default_rng(0).normal(size=values.shape).astype(np.float32))
    values[:16, :16], values[36:, 8:] = noise[:16, :16], noise[36:, 8:]
    one = Field(3.0, patch, (-6, 0, 12), values)
    other = Field(3.0, patch, (-6, 0, 12), noise[:16, :16, :16])
    record = segmentation_record(store, add_volume(store))
    store.segmentations.put(record, {"general": one, "expert": other, "fused": one})
    read, found = store.segmentations.with_fields(OWNER, record.id)
    assert read.fields is not None
    assert [place.candidates for place in read.fields] == [("general", "fused"), ("expert",)]
    same_field(found["general"], one)
    same_field(found["fused"], one)
    same_field(found["expert"], other)
    # Blocks of which nothing is known take no place.
    assert len(read.fields[0].blocks) < 7 * 3 * 3


@pytest.mark.fault("F25")
def test_segmentation_of_version_1_is_read(store: LocalStore, root: Path) -> None:
    volume = add_volume(store)
    record = segmentation_record(store, volume)
    text = record.model_dump(mode="json") | {"schema_version": 1}
    for name in ("fields", "encodes", "refined", "extent"):
        del text[name]
    del text["windows"][0]["kept"]
    store.segmentations.put(record, fields())
    (file,) = root.rglob("*.seg")
    arrays = [fields(2.5)[name].values for name in ("general", "fused")]
    for payload in ([array.data for array in arrays], [deflated(arrays)]):
        file.write_bytes(b"".join(frame(json.dumps(text).encode(), payload)))
        read, found = store.segmentations.with_fields(OWNER, record.id)
        assert (read.fields, read.extent, read.candidates) == (None, None, ("general", "fused"))
        for name, field in fields(2.5).items():
            same_field(found[name], field)


@pytest.mark.fault("F25")
def test_segmentation_of_a_newer_version_is_refused() -> None:
    with pytest.raises(StoreUnavailable, match="schema version 3; this program reads 2"):
        SegmentationRecord.parse(b'{"schema_version": 3}')


def test_record_of_an_earlier_version_is_read(store: LocalStore) -> None:
    text = segmentation_record(store, add_volume(store)).model_dump(mode="json")
    del text["warnings"], text["route"]["agreement"], text["route"]["distance"]
    record = SegmentationRecord.parse(json.dumps(text).encode())
    assert record.warnings == ()
    assert (record.route.agreement, record.route.distance) == (None, None)


def test_another_store_reads_the_same(store: LocalStore, root: Path) -> None:
    record = segmentation_record(store, add_volume(store))
    record = store.segmentations.put(record, fields())
    again = LocalStore(root)
    assert again.segmentations.get(OWNER, record.id) == record
    again.close()


def test_another_principal_finds_nothing(store: LocalStore) -> None:
    volume = add_volume(store)
    add_volume(store, owner="bob")
    record = segmentation_record(store, volume)
    store.segmentations.put(record, fields())
    for name in (record.id, store.new_id(), "../x"):
        with pytest.raises(NotFound, match="no such segmentation"):
            store.segmentations.get("bob", name)
        with pytest.raises(NotFound, match="no such segmentation"):
            store.segmentations.delete("bob", name)
    with pytest.raises(NotFound):
        store.segmentations.page("bob", volume.id, None, 9)


def test_record_moved_to_another_owner_stays_hidden(store: LocalStore, root: Path) -> None:
    record = segmentation_record(store, add_volume(store))
    store.segmentations.put(record, fields())
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
    records = [store.segmentations.put(record, fields()) for record in records]
    for record, volume in zip(records, volumes, strict=True):
        assert store.segmentations.get(OWNER, record.id) == record
        assert store.segmentations.with_fields(OWNER, record.id, volume.id)[0] == record
    with pytest.raises(NotFound):
        store.segmentations.with_fields(OWNER, records[0].id, volumes[1].id)


def test_pages_hold_one_volume_s(store: LocalStore) -> None:
    volume, other = add_volume(store), add_volume(store, file_digest="e" * 64)
    made = []
    for _ in range(3):
        record = segmentation_record(store, volume)
        store.segmentations.put(record, fields())
        made.append(record.id)
    store.segmentations.put(segmentation_record(store, other), fields())
    first = store.segmentations.page(OWNER, volume.id, None, 2)
    rest = store.segmentations.page(OWNER, volume.id, first.cursor, 2)
    assert [record.id for record in first.items + rest.items] == made[::-1]
    assert rest.cursor is None


def test_deleting_one(store: LocalStore) -> None:
    record = segmentation_record(store, add_volume(store))
    store.segmentations.put(record, fields())
    store.segmentations.delete(OWNER, record.id)
    with pytest.raises(NotFound):
        store.segmentations.get(OWNER, record.id)
    with pytest.raises(NotFound):
        store.segmentations.delete(OWNER, record.id)


def test_deleting_the_volume_takes_them_along(store: LocalStore, root: Path) -> None:
    volume = add_volume(store)
    record = segmentation_record(store, volume)
    store.segmentations.put(record, fields())
    store.volumes.delete(OWNER, volume.id)
    with pytest.raises(NotFound):
        store.segmentations.with_fields(OWNER, record.id)
    with pytest.raises(NotFound, match="volume"):
        store.segmentations.put(segmentation_record(store, volume), fields())
    assert list(root.rglob("*.seg")) == []


@pytest.mark.fault("F25")
def test_torn_file_is_named(store: LocalStore, root: Path) -> None:
    record = segmentation_record(store, add_volume(store))
    store.segmentations.put(record, fields())
    (file,) = root.rglob("*.seg")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StoreUnavailable, match="damaged"):
        store.segmentations.with_fields(OWNER, record.id)


def test_logits_are_kept_as_deflated_float16(store: LocalStore, root: Path) -> None:
    values = rounded(np.random.default_rng(0).normal(0, 9, (16,) * 3).astype(np.float32))
    window = Window(1.5, (0, 0, 0), 32)
    field, flat = (Field.of_window(window, array) for array in (values, np.zeros_like(values)))
    record = segmentation_record(store, add_volume(store))
    record = store.segmentations.put(record, {"general": field, "fused": flat})
    (file,) = root.rglob("*.seg")
    header = record.model_dump_json().encode()
    assert file.stat().st_size < 28 + len(header) + 2 * 16**3 + 100
    _, read = store.segmentations.with_fields(OWNER, record.id)
    same_field(read["general"], field)


def test_rounding_is_to_what_is_read_again() -> None:
    values = np.array([0.1, -1e-3, 1e9, -1e9, 3.0], np.float32)
    once = rounded(values)
    np.testing.assert_array_equal(rounded(once), once)
    np.testing.assert_array_equal(np.sign(once), np.sign(values))
    assert np.isfinite(once).all()


def test_every_cut_of_logits_is_noticed(store: LocalStore, root: Path) -> None:
    record = segmentation_record(store, add_volume(store))
    record = store.segmentations.put(record, fields())
    header = record.model_dump_json().encode()
    (file,) = root.rglob("*.seg")
    whole = file.read_bytes()[28 + len(header) :]
    for payload in (*(whole[:length] for length in range(len(whole))), zlib.compress(b"x" * 9999)):
        file.write_bytes(b"".join(frame(header, [payload])))
        with pytest.raises(StoreUnavailable, match="damaged"):
            store.segmentations.with_fields(OWNER, record.id)


def test_a_search_asks_the_volume_that_the_id_speaks_for(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = [add_volume(store, file_digest=f"{n:064}") for n in range(20)]
    name = store.new_id(volumes[7].id)
    record = segmentation_record(store, volumes[7], id=name)
    record = store.segmentations.put(record, fields())
    asked: list[str] = []
    start = FolderFiles.read_start

    def read_start(files: FolderFiles, path: str, size: int) -> bytes:
        asked.append(path)
        return start(files, path, size)

    monkeypatch.setattr(FolderFiles, "read_start", read_start)
    assert store.segmentations.get(OWNER, name) == record
    assert len(asked) == 1


def test_more_candidates_come_to_what_is_there(store: LocalStore, root: Path) -> None:
    record = segmentation_record(store, add_volume(store))
    kept = store.segmentations.put(record, fields())
    other = LocalStore(root)
    names = [f"candidate-{number}" for number in range(8)]
    made = {
        name: Field(3.0, 1, (0, 0, 0), np.full((4, 4, 4), number, np.float32))
        for number, name in enumerate(names)
    }
    calls = [
        threading.Thread(target=store.segmentations.add, args=(OWNER, record.id, name, made[name]))
        for store, name in zip([store, other] * 4, names, strict=True)
    ]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    read, found = store.segmentations.with_fields(OWNER, record.id)
    assert set(read.candidates) == {*kept.candidates, *names}
    for name, field in made.items():
        same_field(found[name], field)
    # Who computed the same once more changes nothing.
    assert store.segmentations.add(OWNER, record.id, "general", made[names[0]]) == read
    same_field(store.segmentations.with_fields(OWNER, record.id)[1]["general"], fields()["general"])
    other.close()


@pytest.mark.parametrize("what", ["segmentation", "volume"])
def test_a_candidate_that_comes_in_the_moment_of_a_deletion_brings_nothing_back(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    volume = add_volume(store)
    record = segmentation_record(store, volume)
    store.segmentations.put(record, fields())
    field, original = fields()["general"], FolderFiles.read_versioned

    def and_deleted(self: FolderFiles, path: str) -> Versioned:
        found = original(self, path)
        monkeypatch.setattr(FolderFiles, "read_versioned", original)
        if what == "volume":
            store.volumes.delete(OWNER, volume.id)
        else:
            store.segmentations.delete(OWNER, record.id)
        return found

    monkeypatch.setattr(FolderFiles, "read_versioned", and_deleted)
    with pytest.raises(NotFound, match="no such segmentation"):
        store.segmentations.add(OWNER, record.id, "expert", field)
    assert not list(root.rglob("*.seg"))


def test_a_candidate_beyond_the_quota_is_refused(root: Path) -> None:
    store = LocalStore(root, StoreLimits(segmentations=Keeping(quota_bytes=3000)))
    record = segmentation_record(store, add_volume(store))
    kept = store.segmentations.put(record, fields())
    noise = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    with pytest.raises(QuotaExceeded):
        store.segmentations.add(
            OWNER, record.id, "expert", Field(3.0, 1, (0, 0, 0), rounded(noise))
        )
    assert store.segmentations.get(OWNER, record.id) == kept
    store.close()


def test_what_was_promised_and_made_before_stays(store: LocalStore) -> None:
    volume = add_volume(store)
    record = segmentation_record(store, volume)
    first = store.segmentations.put(record, fields(2.5))
    later = record.model_copy(update={"bundle_digest": "f" * 64, "created": now()})
    assert store.segmentations.put(later, fields(-2.5)) == first
    assert store.segmentations.get(OWNER, record.id) == first
