"""Volumes in the store."""

import errno
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sammoe.errors import InvalidInput, NotFound, StoreUnavailable
from sammoe.store import LocalStore, SourceRecord, VolumeRecord, upload_key
from sammoe.store.folder_files import FolderFiles
from sammoe.volume.dicom.source import DicomSource, SliceSource
from tests.records import OWNER, add_volume, volume_record, voxels


def files(root: Path) -> list[str]:
    """Every file in the store, but locks, its own version, and what says what was deleted."""
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    kept = (path for path in found if path.parts[0] not in {"tmp", "store.json", "deleted"})
    return sorted(map(str, kept))


def test_round_trip(store: LocalStore) -> None:
    record = volume_record(store)
    assert store.volumes.add(record, voxels()) == record
    read = store.volumes.get(OWNER, record.id)
    assert read == record
    assert read.geometry.shape == (3, 4, 5)
    assert read.geometry.orientation == "RAS"
    kept = store.volumes.voxels(read)
    np.testing.assert_array_equal(kept, voxels())
    assert not kept.flags.writeable


def test_memory_layout_does_not_matter(store: LocalStore) -> None:
    record = volume_record(store)
    store.volumes.add(record, np.asfortranarray(voxels()))
    np.testing.assert_array_equal(store.volumes.voxels(record), voxels())


def test_another_principal_finds_nothing(store: LocalStore) -> None:
    record = add_volume(store)
    with pytest.raises(NotFound) as other:
        store.volumes.get("bob", record.id)
    with pytest.raises(NotFound) as missing:
        store.volumes.get("bob", store.new_id())
    assert str(other.value) == str(missing.value)
    assert store.volumes.page("bob", None, 10).items == ()


def test_record_moved_to_another_owner_stays_hidden(store: LocalStore, root: Path) -> None:
    record = add_volume(store)
    bobs = add_volume(store, owner="bob")
    (mine,) = root.glob(f"owners/*/volumes/{record.id}/volume.json")
    (his,) = root.glob(f"owners/*/volumes/{bobs.id}/volume.json")
    his.write_bytes(mine.read_bytes())
    with pytest.raises(NotFound):
        store.volumes.get("bob", bobs.id)


@pytest.mark.parametrize("name", ["", "..", "../../store.json", "x" * 26])
def test_ids_never_become_other_paths(store: LocalStore, name: str) -> None:
    with pytest.raises(NotFound):
        store.volumes.get(OWNER, name)
    with pytest.raises(NotFound):
        store.volumes.delete(OWNER, name)


def test_same_upload_is_the_same_volume(store: LocalStore) -> None:
    record = add_volume(store)
    assert add_volume(store).id == record.id
    assert add_volume(store, modality_asked="auto").id != record.id
    assert add_volume(store, file_digest="e" * 64).id != record.id
    assert add_volume(store, owner="bob").id != record.id
    assert store.volumes.of_upload(OWNER, upload_key("f" * 64, "MR")) == record
    assert store.volumes.of_upload(OWNER, upload_key("f" * 64, "CT")) is None
    assert len(store.volumes.page(OWNER, None, 10).items) == 3


def test_same_upload_at_the_same_time_is_one_volume(store: LocalStore) -> None:
    added: list[VolumeRecord] = []
    threads = [threading.Thread(target=lambda: added.append(add_volume(store))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(added) == 8
    assert len({record.id for record in added}) == 1
    assert [record.id for record in store.volumes.page(OWNER, None, 10).items] == [added[0].id]


def test_deleting_leaves_no_file(store: LocalStore, root: Path) -> None:
    record = add_volume(store)
    assert files(root)
    store.volumes.delete(OWNER, record.id)
    assert files(root) == []
    with pytest.raises(NotFound):
        store.volumes.get(OWNER, record.id)
    with pytest.raises(NotFound):
        store.volumes.delete(OWNER, record.id)
    with pytest.raises(NotFound):
        store.volumes.voxels(record)
    assert add_volume(store).id != record.id


def test_delete_that_comes_second_finds_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = add_volume(store)
    store.volumes.delete(OWNER, record.id)
    # As if the other had come between this one's look and its deed.
    monkeypatch.setattr(store.volumes, "get", lambda principal, name: record)
    with pytest.raises(NotFound):
        store.volumes.delete(OWNER, record.id)


def test_upload_of_a_lost_volume_counts_as_none(store: LocalStore, root: Path) -> None:
    record = add_volume(store)
    (folder,) = root.glob(f"owners/*/volumes/{record.id}")
    folder.rename(root / "gone")
    assert store.volumes.of_upload(OWNER, upload_key("f" * 64, "MR")) is None
    assert add_volume(store).id != record.id


def test_pages_run_from_newest_to_oldest(store: LocalStore) -> None:
    made = [add_volume(store, file_digest=f"{n:064}").id for n in range(5)]
    seen, cursor = [], None
    for expected in (2, 2, 1):
        part = store.volumes.page(OWNER, cursor, 2)
        assert len(part.items) == expected
        seen += [record.id for record in part.items]
        cursor = part.cursor
    assert seen == made[::-1]
    assert cursor is None
    assert store.volumes.page(OWNER, None, 5).cursor is None


def test_cursor_of_a_deleted_volume_still_works(store: LocalStore) -> None:
    made = [add_volume(store, file_digest=f"{n:064}").id for n in range(4)]
    cursor = store.volumes.page(OWNER, None, 2).cursor
    store.volumes.delete(OWNER, made[2])
    assert [record.id for record in store.volumes.page(OWNER, cursor, 9).items] == made[1::-1]
    with pytest.raises(InvalidInput) as caught:
        store.volumes.page(OWNER, "../x", 2)
    assert caught.value.pointer == "/cursor"


def test_volume_deleted_while_listed_is_left_out(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = add_volume(store)
    monkeypatch.setattr(store.volumes, "ids", lambda principal: [record.id, store.new_id()])
    assert store.volumes.page(OWNER, None, 9).items == (record,)


def test_full_disk_keeps_nothing(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(file: Path, *_: Any, **__: Any) -> None:
        file.write_bytes(b"half of the voxels")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(StoreUnavailable, match="full"):
        add_volume(store)
    assert files(root) == []
    monkeypatch.undo()
    add_volume(store)


@pytest.mark.fault("F25")
def test_newer_record_is_refused_by_name(store: LocalStore, root: Path) -> None:
    record = add_volume(store)
    (file,) = root.glob(f"owners/*/volumes/{record.id}/volume.json")
    file.write_text(file.read_text().replace('"schema_version":1', '"schema_version":2'))
    with pytest.raises(StoreUnavailable, match="schema version 2; this program reads 1"):
        store.volumes.get(OWNER, record.id)


@pytest.mark.fault("F25")
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema_version":1}'])
def test_damaged_record_is_named(store: LocalStore, root: Path, content: bytes) -> None:
    record = add_volume(store)
    (file,) = root.glob(f"owners/*/volumes/{record.id}/volume.json")
    file.write_bytes(content)
    with pytest.raises(StoreUnavailable, match="damaged"):
        store.volumes.get(OWNER, record.id)


@pytest.mark.fault("F25")
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00"])
def test_damaged_voxels_are_named(store: LocalStore, root: Path, content: bytes) -> None:
    record = add_volume(store)
    (file,) = root.glob("owners/*/volumes/*/voxels.npy")
    file.write_bytes(content)
    with pytest.raises(StoreUnavailable, match="damaged"):
        store.volumes.voxels(record)


def test_voxels_of_another_form_are_damaged(store: LocalStore, root: Path) -> None:
    record = add_volume(store)
    (file,) = root.glob("owners/*/volumes/*/voxels.npy")
    np.save(file, voxels().astype(np.float32))
    with pytest.raises(StoreUnavailable, match="damaged"):
        store.volumes.voxels(record)


def test_name_of_the_principal_is_no_path(store: LocalStore, root: Path) -> None:
    record = add_volume(store, owner="../../etc/passwd")
    assert store.volumes.get("../../etc/passwd", record.id) == record
    assert len(list(root.glob(f"owners/*/volumes/{record.id}"))) == 1


def test_the_source_of_a_volume_lies_beside_it(store: LocalStore) -> None:
    source = DicomSource("1.2", "1.2.3", "1.2.9", (SliceSource("1.2.3.4", 1),), (b"header",))
    record = volume_record(store, source=SourceRecord.of(source))
    kept = store.volumes.add(record, voxels(), source.pack())

    found = store.volumes.source(store.volumes.get(OWNER, kept.id))

    assert (found.study, found.slices, found.headers) == ("1.2", source.slices, (b"header",))


def test_a_volume_that_did_not_come_from_dicom_has_no_source(store: LocalStore) -> None:
    with pytest.raises(NotFound):
        store.volumes.source(add_volume(store))


def test_a_damaged_source_is_noticed(store: LocalStore) -> None:
    record = store.volumes.add(volume_record(store), voxels(), b"damaged")

    with pytest.raises(StoreUnavailable, match="damaged"):
        store.volumes.source(record)


def test_the_newest_of_a_series_is_found_without_a_search(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def source(series: str) -> SourceRecord:
        return SourceRecord(study="1.2", series=series, frame_of_reference=None)

    for number in range(9):
        add_volume(store, file_digest=f"{number}" * 64, source=source(f"1.2.{number}"))
    first = add_volume(store, file_digest="a" * 64, source=source("1.2.99"))
    second = add_volume(store, file_digest="b" * 64, source=source("1.2.99"))
    assert "1.2.99" not in " ".join(files(root))
    read = []
    original = FolderFiles.read

    def watched(self: FolderFiles, path: str) -> bytes:
        read.append(path)
        return original(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(FolderFiles, "read", watched)
        assert store.volumes.of_series(OWNER, "1.2.99") == second
        assert store.volumes.of_series(OWNER, "1.2.100") is None
        assert store.volumes.of_series("bob", "1.2.99") is None
    assert len(read) == 1
    for gone, left in ((second, first), (first, None)):
        store.volumes.delete(OWNER, gone.id)
        assert store.volumes.of_series(OWNER, "1.2.99") == left
    assert len([name for name in files(root) if "/series/" in name]) == 9


def test_the_same_series_again_leaves_one_entry(store: LocalStore, root: Path) -> None:
    source = SourceRecord(study="1.2", series="1.2.3", frame_of_reference=None)
    kept = [add_volume(store, source=source) for _ in range(2)]
    assert kept[0] == kept[1]
    assert len([name for name in files(root) if "/series/" in name]) == 1
