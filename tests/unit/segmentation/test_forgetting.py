"""Copies of what was deleted, in every process."""

from collections.abc import Awaitable, Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import pytest

from sammoe.errors import NotFound, StoreUnavailable
from sammoe.segmentation.forgetting import Forgetting
from sammoe.store import EmbeddingCache, LocalStore, SharedCounters, VolumeRecord, content_key
from sammoe.store.deletions import KEPT_SECONDS, Deletions
from sammoe.store.embeddings import Embedding, content_of
from tests.records import add_volume

KEEP = 1 << 20


class Shelf:
    """Embeddings that replicas share, as a dictionary; it may be away."""

    def __init__(self) -> None:
        self.kept: dict[str, Embedding] = {}
        self.away = False
        self.counters = SharedCounters()

    async def get_or_encode(
        self, key: str, shape: tuple[int, ...], make: Callable[[], Awaitable[Embedding]]
    ) -> tuple[Embedding, bool]:
        raise NotImplementedError

    async def forget(self, contents: Collection[str]) -> bool:
        if not self.away:
            self.kept = {k: v for k, v in self.kept.items() if content_of(k) not in contents}
        return not self.away

    async def close(self) -> None:
        pass


class Process:
    """A front end's part in it."""

    def __init__(self, store: LocalStore, shelf: Shelf | None = None) -> None:
        self.cache = EmbeddingCache(KEEP)
        self.now = 0.0
        self.forgetting = Forgetting(store, self.cache, shelf, lambda: self.now)

    async def keep(self, volume: VolumeRecord) -> None:
        """Embed something of a volume."""

        async def make() -> Embedding:
            return np.zeros(8, np.float16)

        await self.cache.get_or_encode(f"{content_key(volume.content_digest)}-x", make)

    @property
    def entries(self) -> int:
        """So many embeddings are in memory."""
        return self.cache.counters.entries


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[LocalStore]]:
    """One store as two processes see it."""
    both = [LocalStore(tmp_path), LocalStore(tmp_path)]
    yield both
    for store in both:
        store.close()


async def test_each_forgets_what_another_deleted(two: list[LocalStore]) -> None:
    here, there = (Process(store) for store in two)
    volume = add_volume(two[0])
    other = add_volume(two[0], content_digest="d" * 64, file_digest="d" * 64)
    for process in (here, there):
        await process.keep(volume)
        await process.keep(other)
    two[1].volumes.delete(volume.owner, volume.id)
    for process in (here, there):
        await process.forgetting.look()
        assert process.entries == 1
        await process.keep(volume)
        await process.forgetting.look()
        assert process.entries == 2


async def test_embedding_that_comes_after_the_deletion_goes(two: list[LocalStore]) -> None:
    process = Process(two[0])
    volume = add_volume(two[0])
    two[1].volumes.delete(volume.owner, volume.id)
    await process.forgetting.look()
    await process.keep(volume)
    with pytest.raises(NotFound):
        await process.forgetting.check(volume)
    assert process.entries == 0


async def test_shared_ones_are_tried_again_until_they_are_gone(two: list[LocalStore]) -> None:
    shelf = Shelf()
    process = Process(two[0], shelf)
    volume = add_volume(two[0])
    key = f"{content_key(volume.content_digest)}-x"
    shelf.kept = {key: np.zeros(8, np.float16), "other-x": np.zeros(8, np.float16)}
    two[0].volumes.delete(volume.owner, volume.id)
    shelf.away = True
    await process.forgetting.look()
    assert key in shelf.kept
    shelf.away = False
    await process.forgetting.look()
    assert list(shelf.kept) == ["other-x"]


async def test_what_could_not_be_seen_for_long_is_forgotten(
    two: list[LocalStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(two[0])
    await process.keep(add_volume(two[0]))

    def fail(_: Deletions) -> set[str]:
        raise StoreUnavailable("no")

    monkeypatch.setattr(Deletions, "ids", fail)
    for seconds, entries in ((0.0, 1), (KEPT_SECONDS / 4, 1), (KEPT_SECONDS, 0)):
        process.now = seconds
        with pytest.raises(StoreUnavailable):
            await process.forgetting.look()
        assert process.entries == entries


async def test_look_that_failed_is_made_up_for(
    two: list[LocalStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(two[0])
    volume = add_volume(two[0])
    await process.keep(volume)
    two[1].volumes.delete(volume.owner, volume.id)

    def fail(*_: object) -> set[str]:
        raise StoreUnavailable("no")

    with monkeypatch.context() as patch:
        patch.setattr(Deletions, "unused", fail)
        with pytest.raises(StoreUnavailable):
            await process.forgetting.look()
    assert process.entries == 1
    await process.forgetting.look()
    assert process.entries == 0
