"""Answers kept for an Idempotency-Key."""

import os
import time
from pathlib import Path

import pytest

from sammoe.errors import IdempotencyConflict
from sammoe.store import LocalStore, StoredResponse
from sammoe.store.responses import KEPT_SECONDS, SWEEP_SECONDS

ANSWER = StoredResponse(201, {"content-type": "application/json"}, b'{"id": "x"}')
OTHER = StoredResponse(201, {}, b"")


def age(root: Path, seconds: float) -> None:
    """Make every kept answer older."""
    for path in root.glob("owners/*/responses/*"):
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


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


def test_answer_is_kept_for_a_day(store: LocalStore, root: Path) -> None:
    store.responses.put("alice", "key", "digest", ANSWER)
    age(root, KEPT_SECONDS - 60)
    assert store.responses.get("alice", "key", "digest") == ANSWER
    age(root, 120)
    assert store.responses.get("alice", "key", "another") is None
    assert store.responses.put("alice", "key", "another", OTHER) == OTHER


def test_old_answers_are_swept_at_start(store: LocalStore, root: Path) -> None:
    store.responses.put("alice", "old", "digest", ANSWER)
    age(root, KEPT_SECONDS + 60)
    store.responses.put("alice", "new", "digest", ANSWER)
    LocalStore(root).close()
    assert len(list(root.glob("owners/*/responses/*"))) == 1


def test_old_answers_are_swept_every_hour(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.responses.put("bob", "old", "digest", ANSWER)
    age(root, KEPT_SECONDS + 60)
    store.responses.put("alice", "new", "digest", ANSWER)
    assert len(list(root.glob("owners/*/responses/*"))) == 2
    later = time.monotonic() + SWEEP_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    store.responses.put("alice", "newer", "digest", ANSWER)
    assert len(list(root.glob("owners/*/responses/*"))) == 2


def test_slower_of_two_gets_the_faster_s_answer(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = store.responses.get

    def none_yet(principal: str, key: str, digest: str) -> StoredResponse | None:
        # The other comes between this one's look and its deed.
        monkeypatch.setattr(store.responses, "get", get)
        store.responses.put(principal, key, digest, ANSWER)
        return None

    monkeypatch.setattr(store.responses, "get", none_yet)
    assert store.responses.put("alice", "key", "digest", OTHER) == ANSWER
