"""The store as a folder."""

import json
from pathlib import Path

import pytest

from sammoe.errors import StoreUnavailable
from sammoe.store import LocalStore
from tests.records import add_volume


def test_folder_is_this_user_s_alone(store: LocalStore, root: Path) -> None:
    assert root.stat().st_mode & 0o777 == 0o700
    assert json.loads((root / "store.json").read_text()) == {"schema_version": 1}


def test_opening_again_changes_nothing(store: LocalStore, root: Path) -> None:
    record = add_volume(store)
    before = (root / "store.json").stat().st_mtime_ns
    again = LocalStore(root)
    assert again.volumes.get(record.owner, record.id) == record
    assert (root / "store.json").stat().st_mtime_ns == before
    again.close()


@pytest.mark.fault("F25")
def test_newer_store_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"schema_version": 2}')
    with pytest.raises(StoreUnavailable, match="schema version 2; this program reads 1"):
        LocalStore(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store.json", "tmp"]
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["lock"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense"])
def test_strange_folder_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(StoreUnavailable, match="damaged"):
        LocalStore(tmp_path)


def test_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreUnavailable, match="exists"):
        LocalStore(tmp_path / "file")


def test_temporary_folder_goes_with_the_process(root: Path) -> None:
    store = LocalStore(root)
    (store.temporary_folder / "upload").write_text("x")
    store.close()
    assert not store.temporary_folder.exists()
