"""Embeddings of windows, and who waits for whom."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import pytest

from sammoe.engine.local import LocalEngine
from sammoe.segmentation import Point, Prompt, Workspace
from sammoe.store import EmbeddingCache, LocalStore, SharedCounters
from sammoe.store.embeddings import Embedding
from tests.scans import INSIDE
from tests.unit.segmentation.conftest import OWNER
from tests.unit.segmentation.engines import WatchedEngine


class Shared:
    """A shared level that is empty, and counts whose locks are held."""

    counters = SharedCounters()

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.asked = 0

    async def get_or_encode(
        self, key: str, shape: tuple[int, ...], make: Callable[[], Awaitable[Embedding]]
    ) -> tuple[Embedding, bool]:
        self.asked += 1
        self.held.add(key)
        try:
            return await make(), False
        finally:
            self.held.remove(key)

    async def forget(self, contents: Collection[str]) -> bool:
        return True

    async def close(self) -> None: ...


@pytest.mark.fault("S27")
async def test_warm_up_that_waits_for_its_turn_holds_no_lock_of_other_processes(
    engine: LocalEngine, store: LocalStore, cache: EmbeddingCache, scan: Path
) -> None:
    watched, shared = WatchedEngine(engine, opened=False), Shared()
    workspace = Workspace(watched, store, cache, shared=shared)
    volume, _ = await workspace.volumes.add(OWNER, scan, modality="MR")
    click = asyncio.create_task(workspace.segment(OWNER, volume.id, Prompt((Point(*INSIDE),))))
    while not watched.encodes:
        await asyncio.sleep(0.01)
    await workspace.warmer.warm(OWNER, volume.id, spacing=3.0)
    while cache.counters.misses < 2:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert len(shared.held) == 1
    watched.open.set()
    await click
    while cache.counters.entries < 2:
        await asyncio.sleep(0.01)
    assert (shared.asked, watched.encodes, shared.held) == (2, 2, set())
    await workspace.close()
