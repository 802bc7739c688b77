"""Which bundle is active: one record, changed by one at a time."""

from pathlib import Path

import pytest

from sammoe.errors import Conflict, StoreUnavailable
from sammoe.store import LocalStore, ReleaseRecord, now


def release(name: str) -> ReleaseRecord:
    return ReleaseRecord(digest=name * 64, name=name, since=now(), by="ann@desk")


def digests(store: LocalStore) -> list[str]:
    """First letters: the active one, and those before it."""
    record = store.published.look().record
    return [] if record is None else [one.digest[0] for one in (record.active, *record.before)]


def publish(store: LocalStore, name: str) -> None:
    store.published.activate(release(name), store.published.look())


def test_nothing_is_published_at_first(store: LocalStore) -> None:
    assert store.published.look().record is None


def test_there_and_back_and_forth_again(store: LocalStore) -> None:
    for name, expected in (("a", "a"), ("b", "ba"), ("c", "cba"), ("b", "bca"), ("c", "cba")):
        publish(store, name)
        assert digests(store) == list(expected)
    record = store.published.look().record
    assert record is not None
    assert (record.active.name, record.active.by) == ("c", "ann@desk")


def test_of_two_who_change_it_at_once_one_is_refused(store: LocalStore, root: Path) -> None:
    other = LocalStore(root)
    for name, late in (("a", "x"), ("b", "y")):
        seen = other.published.look()
        publish(store, name)
        with pytest.raises(Conflict, match="Somebody else has changed the active bundle"):
            other.published.activate(release(late), seen)
    assert digests(store) == ["b", "a"]
    other.close()


def test_it_remembers_so_many(store: LocalStore) -> None:
    for name in "0123456789abcdefghi":
        publish(store, name)
    assert digests(store) == list("ihgfedcba98765432")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema_version": 1, "active"', "is damaged"),
        ('{"schema_version": 1}', "is damaged"),
        ('{"schema_version": 9, "active": 1}', "has schema version 9"),
    ],
)
def test_what_can_not_be_understood(store: LocalStore, root: Path, text: str, message: str) -> None:
    (root / "published.json").write_text(text)
    with pytest.raises(StoreUnavailable, match=message):
        store.published.look()
