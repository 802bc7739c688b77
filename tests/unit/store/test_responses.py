"""Answers kept for an Idempotency-Key."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sammoe.errors import IdempotencyConflict, NotFound
from sammoe.store import LocalStore, StoredResponse, now, responses
from tests.records import OWNER, add_volume

ANSWER = StoredResponse(201, {"content-type": "application/json"}, b'{"id": "x"}')
OTHER = StoredResponse(201, {}, b"")


def test_same_request_gets_the_same_answer(store: LocalStore, root: Path) -> None:
    assert store.responses.get("alice", "key", "digest") is None
    assert store.responses.put("alice", "key", "digest", ANSWER) == ANSWER
    again = LocalStore(root)
    assert again.responses.get("alice", "key", "digest") == ANSWER
    again.close()


def test_first_answer_stays(store: LocalStore) -> None:
    store.responses.put("alice", "key", "digest", ANSWER)
    assert store.responses.put("alice", "key", "digest", OTHER) == ANSWER


def test_another_request_is_a_conflict(store: LocalStore) -> None:
    store.responses.put("alice", "key", "digest", ANSWER)
    with pytest.raises(IdempotencyConflict):
        store.responses.get("alice", "key", "another")
    with pytest.raises(IdempotencyConflict):
        store.responses.put("alice", "key", "another", OTHER)


def test_keys_belong_to_their_principal(store: LocalStore) -> None:
    store.responses.put("alice", "key", "digest", ANSWER)
    assert store.responses.get("bob", "key", "another") is None
    assert store.responses.put("bob", "key", "another", OTHER) == OTHER


def test_key_may_be_any_text(store: LocalStore) -> None:
    store.responses.put("alice", "../../x\x00é", "digest", ANSWER)
    assert store.responses.get("alice", "../../x\x00é", "digest") == ANSWER


def test_answer_is_kept_for_a_day(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.responses.put("alice", "key", "digest", ANSWER)
    made = now()
    monkeypatch.setattr(responses, "now", lambda: made + timedelta(hours=23, minutes=59))
    assert store.responses.get("alice", "key", "digest") == ANSWER
    monkeypatch.setattr(responses, "now", lambda: made + timedelta(hours=24, seconds=1))
    assert store.responses.get("alice", "key", "another") is None
    assert store.responses.put("alice", "key", "another", OTHER) == OTHER


def test_answer_goes_with_its_volume(store: LocalStore, root: Path) -> None:
    volume = add_volume(store)
    about = replace(ANSWER, volume_id=volume.id)
    store.responses.put(OWNER, "about", "digest", about)
    store.responses.put(OWNER, "another", "digest", ANSWER)
    assert store.responses.get(OWNER, "about", "digest") == about
    store.volumes.delete(OWNER, volume.id)
    assert store.responses.get(OWNER, "about", "digest") is None
    assert store.responses.get(OWNER, "another", "digest") == ANSWER
    assert len(list(root.glob("owners/*/responses/*"))) == 1
    with pytest.raises(NotFound):
        store.responses.put(OWNER, "late", "digest", about)
    assert len(list(root.glob("owners/*/responses/*"))) == 1
    assert list(root.glob("owners/*/volumes/*")) == []


def test_of_many_answers_at_once_all_get_one(store: LocalStore, root: Path) -> None:
    """As where two processes have done the same work: what both say is what one did."""
    other = LocalStore(root)
    made = [StoredResponse(201, {}, b"%d" % number) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        kept = list(
            pool.map(
                lambda answer, at: at.responses.put("alice", "key", "digest", answer),
                made,
                [store, other] * 4,
            )
        )
    assert len({answer.body for answer in kept}) == 1
    assert store.responses.get("alice", "key", "digest") == kept[0]
    other.close()


def promise(store: LocalStore, volume_id: str, digest: str = "digest", name: str = "") -> str:
    name = name or store.new_id(volume_id)
    return store.responses.promise(OWNER, "key", digest, (OWNER, volume_id), name)


def test_the_same_request_is_promised_the_same_id(store: LocalStore, root: Path) -> None:
    volume = add_volume(store)
    first = promise(store, volume.id)
    other = LocalStore(root)
    assert promise(other, volume.id) == first
    other.close()
    store.responses.put(OWNER, "key", "digest", replace(ANSWER, volume_id=volume.id))
    assert promise(store, volume.id) == first


def test_another_request_is_promised_another_id(store: LocalStore) -> None:
    volume = add_volume(store)
    first = promise(store, volume.id)
    second = promise(store, volume.id, "another")
    assert second != first
    assert promise(store, volume.id, "another") == second


def test_a_promise_is_as_old_as_an_answer(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = add_volume(store)
    first = promise(store, volume.id)
    made = now()
    monkeypatch.setattr(responses, "now", lambda: made + timedelta(hours=24, seconds=1))
    assert promise(store, volume.id) != first


def test_nothing_is_promised_where_there_is_no_volume(store: LocalStore, root: Path) -> None:
    for name in (store.new_id(), "../x"):
        with pytest.raises(NotFound):
            promise(store, name, name=store.new_id())
    assert list(root.glob("owners/**/responses")) == []


def test_an_answer_that_made_nothing_leaves_the_key_free(store: LocalStore) -> None:
    volume = add_volume(store)
    store.responses.put(OWNER, "key", "digest", replace(ANSWER, volume_id=volume.id))
    name = store.new_id(volume.id)
    assert promise(store, volume.id, name=name) == name
