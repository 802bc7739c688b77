"""Keys of the store: made, revoked, expired, seen by every process within seconds."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from sammoe.access import Access, KeyRing, Role, StoredKeys, digest_of, new_key
from sammoe.errors import IdentityUnavailable, NotFound, StoreUnavailable, Unauthorized
from sammoe.store import KeyRecord, LocalStore, now


def make(store: LocalStore, **changes: object) -> tuple[str, KeyRecord]:
    """A new key in the store, and its record."""
    name = store.new_id()
    key = new_key(name)
    record = KeyRecord(
        id=name,
        owner="ann",
        created=now(),
        digest=digest_of(key).hex(),
        role="segmenter",
        projects={"trial": "reader"},
    ).model_copy(update=changes)
    store.keys.add(record)
    return key, record


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


async def test_a_key_is_known_after_the_next_look_and_no_more_once_revoked(
    store: LocalStore, tmp_path: Path
) -> None:
    keys, elsewhere = StoredKeys(store.keys), LocalStore(tmp_path)
    await keys.look()
    assert not keys.any
    key, record = make(elsewhere)
    assert keys.identify(key) is None
    await keys.look()
    found = keys.identify(key)
    assert found is not None
    assert (found.principal, found.role, found.via) == ("ann", Role.SEGMENTER, f"key:{record.id}")
    assert found.projects == {"trial": Role.READER}
    elsewhere.keys.revoke(record.id)
    await keys.look()
    assert keys.identify(key) is None
    assert keys.any


@pytest.mark.fault("S20")
async def test_near_misses_are_nobodys(store: LocalStore) -> None:
    key, _ = make(store)
    keys = StoredKeys(store.keys)
    await keys.look()
    for near in (key[:-1], key + "0", key[:-1] + "x", key.upper(), "", f"{key[:34]}{'0' * 48}"):
        assert keys.identify(near) is None


@pytest.mark.fault("S20")
async def test_an_expired_key_opens_nothing(store: LocalStore) -> None:
    over, _ = make(store, expires=now() - timedelta(seconds=1))
    still, _ = make(store, expires=now() + timedelta(days=1))
    keys = StoredKeys(store.keys)
    await keys.look()
    assert keys.identify(over) is None
    assert keys.identify(still) is not None


@pytest.mark.fault("F22")
async def test_while_the_store_is_away_keys_go_on_for_a_bounded_time(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [0.0]
    key, _ = make(store)
    keys = StoredKeys(store.keys, lambda: moment[0])
    await keys.look()

    def fail(*given: object) -> dict[str, KeyRecord]:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store.keys, "look", fail)
    moment[0] = 299.0
    with pytest.raises(StoreUnavailable):
        await keys.look()
    assert keys.identify(key) is not None
    moment[0] = 301.0
    with pytest.raises(IdentityUnavailable):
        keys.identify(key)


async def test_a_damaged_key_opens_nothing_and_hinders_no_other(store: LocalStore) -> None:
    key, _ = make(store)
    broken, record = make(store)
    (next(Path(store.temporary_folder).parents[1].glob(f"keys/{record.id}.json"))).write_text("{")
    keys = StoredKeys(store.keys)
    await keys.look()
    assert keys.identify(broken) is None
    assert keys.identify(key) is not None


async def test_the_last_revoked_key_does_not_open_the_door(store: LocalStore) -> None:
    access = Access(KeyRing(), StoredKeys(store.keys))
    async with access.running():
        assert (await access.identify({})).principal == "local"
        _, record = make(store)
        store.keys.revoke(record.id)
        assert access.stored is not None
        await access.stored.look()
        with pytest.raises(Unauthorized):
            await access.identify({})


def test_revoking_what_is_not_there_is_an_error(store: LocalStore) -> None:
    for name in ("0" * 26, "nonsense", ""):
        with pytest.raises(NotFound):
            store.keys.revoke(name)


async def test_keys_that_can_not_be_read_do_not_open_the_door(store: LocalStore) -> None:
    _, record = make(store)
    root = store.temporary_folder.parents[1]
    (root / "keys" / f"{record.id}.json").write_text("{")
    access = Access(KeyRing(), StoredKeys(store.keys))
    async with access.running():
        with pytest.raises(Unauthorized):
            await access.identify({})


async def test_keys_that_are_gone_do_not_open_the_door(store: LocalStore) -> None:
    make(store)
    access = Access(KeyRing(), StoredKeys(store.keys))
    async with access.running():
        shutil.rmtree(store.temporary_folder.parents[1] / "keys")
        assert access.stored is not None
        with pytest.raises(StoreUnavailable):
            await access.stored.look()
        with pytest.raises(Unauthorized):
            await access.identify({})
