"""An engine in use: what works on it, and how many requests still do."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from sammoe.engine import Engine, WorkerPool
from sammoe.segmentation.allowances import Allowances
from sammoe.segmentation.candidates import CandidateMaker
from sammoe.segmentation.clicking import Clicker
from sammoe.segmentation.embedding import Embedder
from sammoe.segmentation.forgetting import Forgetting
from sammoe.store import EmbeddingCache, SharedEmbeddings, Store
from sammoe.volume.window import WindowRule


class Served:
    """One engine with what answers clicks on it.

    Attributes
    ----------
    engine
        Used, not owned.
    rule
        How its bundle cuts windows.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        cache: EmbeddingCache,
        shared: SharedEmbeddings | None,
        forgetting: Forgetting,
        allowances: Allowances,
        *,
        clicks: WorkerPool,
        scans: WorkerPool,
    ) -> None:
        self.engine = engine
        self.rule: WindowRule = engine.bundle.manifest.window_rule()
        self.embedder = Embedder(
            engine, store, cache, self.rule, scans, shared, forgetting, allowances
        )
        self.clicker = Clicker(engine, store, self.embedder, self.rule, clicks)
        self.candidates = CandidateMaker(engine, store, self.clicker.grower, clicks)
        self._encode_seconds: float | None = None
        self._users = 0
        self._left = asyncio.Event()
        self._left.set()

    @contextmanager
    def used(self) -> Iterator["Served"]:
        """Keep the engine open while the context lasts."""
        self._users += 1
        self._left.clear()
        try:
            yield self
        finally:
            self._users -= 1
            if not self._users:
                self._left.set()

    async def encode_seconds(self) -> float:
        """How long a window takes to embed, by trying with an empty one, once."""
        if self._encode_seconds is None:
            started, side = time.perf_counter(), self.rule.side
            await self.engine.encode(np.zeros((1, 1, side, side, side), np.float32))
            self._encode_seconds = time.perf_counter() - started
        return self._encode_seconds

    async def close(self) -> None:
        """Wait until nobody uses the engine, and free what works on it."""
        await self._left.wait()
        await self.clicker.close()
