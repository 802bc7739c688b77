"""Callers for tests: keys of a store, made as `sammoe keys create` makes them."""

from collections.abc import Mapping

from sammoe.access import Access, KeyRing, StoredKeys, digest_of, new_key
from sammoe.store import KeyRecord, RoleName, Store, now


def key_of(
    store: Store, principal: str, role: RoleName, projects: Mapping[str, RoleName] | None = None
) -> dict[str, str]:
    """Make a key; the header that carries it."""
    name = store.new_id()
    key = new_key(name)
    store.keys.add(
        KeyRecord(
            id=name,
            owner=principal,
            created=now(),
            digest=digest_of(key).hex(),
            role=role,
            projects=dict(projects or {}),
        )
    )
    return {"Authorization": f"Bearer {key}"}


async def access_to(store: Store) -> Access:
    """Knows all keys that were made so far."""
    access = Access(KeyRing(), StoredKeys(store.keys))
    assert access.stored is not None
    await access.stored.look()
    return access
