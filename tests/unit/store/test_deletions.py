"""Deleting with all that belongs to it, whoever dies in between."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from sammoe.errors import NotFound
from sammoe.store import LeaseRecord, LocalStore, StoredResponse, content_key, deletions, now
from sammoe.store.folder_files import FolderFiles
from tests.records import OWNER, add_volume, fields, segmentation_record, volume_record, voxels


def test_a_deletion_can_be_seen_by_all(store: LocalStore, root: Path) -> None:
    other = LocalStore(root)
    volume = add_volume(store)
    assert other.deletions.ids() == set()
    store.volumes.delete(OWNER, volume.id)
    (deletion,) = other.deletions.read(other.deletions.ids())
    assert (deletion.volume_id, deletion.content) == (volume.id, content_key("c" * 64))
    assert other.deletions.read({store.new_id()}) == []
    other.close()


def test_a_content_is_used_until_its_last_volume_goes(store: LocalStore) -> None:
    content = content_key("c" * 64)
    mine, his = add_volume(store), add_volume(store, owner="bob")
    assert store.deletions.unused({content}) == set()
    store.volumes.delete(OWNER, mine.id)
    assert store.deletions.unused({content}) == set()
    store.volumes.delete("bob", his.id)
    assert store.deletions.unused({content}) == {content}
    add_volume(store, owner="eve")
    assert store.deletions.unused({content, "another"}) == {"another"}


def test_leases_go_with_their_volume(store: LocalStore) -> None:
    volume = add_volume(store)
    for name, of in (("0" * 26, volume.id), ("1" * 26, None)):
        store.leases.put(
            LeaseRecord(
                id=name,
                owner=OWNER,
                created=now(),
                token_digest="",
                used=now(),
                seen=now(),
                volume_id=of,
            )
        )
    store.volumes.delete(OWNER, volume.id)
    assert store.leases.ids() == ["1" * 26]


@pytest.mark.parametrize("survives", range(1, 8))
def test_what_a_dead_process_left_is_finished_by_another(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch, survives: int
) -> None:
    """It dies at its n-th removal."""
    volume = add_volume(store)
    store.segmentations.put(segmentation_record(store, volume), fields())
    store.responses.put(OWNER, "key", "digest", StoredResponse(200, {}, b"", volume.id))
    done = 0

    def mortal(deed: object) -> object:
        assert callable(deed)

        def do(*args: object) -> object:
            nonlocal done
            done += 1
            if done > survives:
                raise KeyboardInterrupt
            return deed(*args)

        return do

    with monkeypatch.context() as patch:
        for name in ("create", "remove", "remove_all"):
            patch.setattr(FolderFiles, name, mortal(getattr(FolderFiles, name)))
        try:
            store.volumes.delete(OWNER, volume.id)
        except KeyboardInterrupt:
            pass
        else:
            assert survives > 5
    later = now() + timedelta(minutes=2)
    monkeypatch.setattr(deletions, "now", lambda: later)
    store.deletions.finish()
    with pytest.raises(NotFound):
        store.volumes.get(OWNER, volume.id)
    assert store.responses.get(OWNER, "key", "digest") is None
    left = [path for path in root.rglob("*") if path.is_file() and path.parent.name != "tmp"]
    names = {path.relative_to(root).parts[0] for path in left}
    assert names == {"store.json", "tmp", "deleted"}
    later = now() + timedelta(hours=2)
    store.deletions.finish()
    assert store.deletions.ids() == set()


def test_segmentation_that_comes_too_late_leaves_nothing(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = add_volume(store)
    record = segmentation_record(store, volume)
    create = FolderFiles.create

    def slow(files: FolderFiles, path: str, pieces: list[bytes]) -> bool:
        monkeypatch.undo()
        store.volumes.delete(OWNER, volume.id)
        return create(files, path, pieces)

    monkeypatch.setattr(FolderFiles, "create", slow)
    with pytest.raises(NotFound, match="volume"):
        store.segmentations.put(record, fields())
    assert list(root.rglob("*.seg")) == []
    assert list(root.glob("owners/*/volumes/*")) == []


def test_failed_adding_leaves_nothing(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise OSError

    monkeypatch.setattr(FolderFiles, "create", fail)
    with pytest.raises(Exception, match="store failed"):
        store.volumes.add(volume_record(store), np.asarray(voxels()))
    monkeypatch.undo()
    assert store.volumes.ids(OWNER) == []
    assert not list(root.glob("owners/*/*/*"))
    assert not list(root.glob("contents/*"))
