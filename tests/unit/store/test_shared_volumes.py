"""Volumes of projects, and keys, in the store: found, forgotten, tidied up, copied, inspected."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from sammoe.errors import NotFound
from sammoe.store import KeyRecord, LocalStore, StoredResponse, StoreLimits, VolumeRecord, now
from sammoe.store.copying import copy_store
from sammoe.store.inspecting import Inspection
from tests.records import OWNER, add_volume


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    store = LocalStore(tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[LocalStore]:
    store = LocalStore(tmp_path / "other")
    yield store
    store.close()


def shared(store: LocalStore, owner: str = OWNER, project: str = "p") -> VolumeRecord:
    return add_volume(store, owner=owner, project=project, file_digest=secrets.token_hex(32))


def key(store: LocalStore) -> KeyRecord:
    record = KeyRecord(
        id=store.new_id(), owner=OWNER, created=now(), digest="0" * 64, role="reader"
    )
    store.keys.add(record)
    return record


def test_a_projects_volumes_are_listed_whoever_owns_them(store: LocalStore) -> None:
    mine, theirs = shared(store), shared(store, "bob")
    shared(store, project="q")
    add_volume(store, file_digest=secrets.token_hex(32))
    assert store.volumes.ids_in("p") == [mine.id, theirs.id]
    first = store.volumes.page_in("p", None, 1)
    assert [record.id for record in first.items] == [theirs.id]
    assert store.volumes.page_in("p", first.cursor, 1).items == (mine,)
    assert store.volumes.owner_in("p", theirs.id) == "bob"
    assert store.volumes.owner_in("q", theirs.id) is None
    with pytest.raises(NotFound):
        store.volumes.owner_in("p", "../p")


def test_the_same_file_is_another_volume_in_each_project(store: LocalStore) -> None:
    digest = secrets.token_hex(32)
    ids = {
        add_volume(store, file_digest=digest, project=project).id for project in (None, "p", "q")
    }
    assert len(ids) == 3


def test_a_deleted_volume_is_in_its_project_no_more(store: LocalStore) -> None:
    volume = shared(store)
    for principal in (OWNER, "bob"):
        answer = StoredResponse(201, {}, b"x", volume.id, OWNER if principal == "bob" else None)
        store.responses.put(principal, "key", "digest", answer)
    store.volumes.delete(OWNER, volume.id)
    assert store.volumes.ids_in("p") == []
    for principal in (OWNER, "bob"):
        assert store.responses.get(principal, "key", "digest") is None
    left = [entry.path for entry in store.files.entries("owners") if entry.size]
    assert left == []


def test_what_an_interrupted_deletion_left_in_a_project_goes(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = shared(store)
    store.files.remove_all(f"{next(iter(_folders(store)))}/volumes/{volume.id}")
    assert store.volumes.page_in("p", None, 9).items == ()
    monkeypatch.setattr("sammoe.store.housekeeping._UNFINISHED_SECONDS", -1.0)
    LocalStore(Path(store.temporary_folder).parents[1], StoreLimits()).housekeeping.run()
    assert store.volumes.ids_in("p") == []


def _folders(store: LocalStore) -> list[str]:
    return [f"owners/{name}" for name in store.files.names("owners")]


def test_a_copy_has_projects_members_answers_and_keys(store: LocalStore, other: LocalStore) -> None:
    volume, good, revoked = shared(store), key(store), key(store)
    store.keys.revoke(revoked.id)
    kept = StoredResponse(201, {}, b"x", volume.id, OWNER)
    store.responses.put("bob", "key", "digest", kept)
    copied = copy_store(store.files, other.files)
    assert (copied.volumes, copied.answers) == (1, 1)
    assert other.volumes.page_in("p", None, 9).items == (volume,)
    assert other.responses.get("bob", "key", "digest") == kept
    found = other.keys.look()
    assert {name: record.revoked for name, record in found.items()} == {
        good.id: False,
        revoked.id: True,
    }


def test_a_damaged_key_is_found(store: LocalStore) -> None:
    well, damaged = key(store), key(store)
    store.files.write(f"keys/{damaged.id}.json", [b"{"])
    inspection = Inspection(store.files)
    found = [finding for path in inspection.paths() if (finding := inspection.look(path))]
    assert [finding.path for finding in found] == [f"keys/{damaged.id}.json"]
    assert well.id in store.keys.look()
