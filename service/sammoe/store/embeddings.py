"""Embeddings in memory: bounded, checked on every read, and made once for all who ask."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from sammoe.store.counting import counted
from sammoe.store.records import content_key
from sammoe.volume.volume import Modality
from sammoe.volume.window import Window, WindowRule

Embedding = NDArray[np.float16]


def embedding_key(
    content_digest: str,
    modality: Modality,
    window: Window,
    rule: WindowRule,
    encoder_digest: str,
) -> str:
    """Name of all that an embedding depends on: `content_key`, a dash, and a SHA-256 (hex).

    Parameters
    ----------
    content_digest
        `Volume.content_digest`: equal scans of different principals share embeddings.
    modality
        CT is clamped, others are not.
    window, rule
        Which window, and how it is cut and normalised.
    encoder_digest
        `Bundle.model_digest` of the encoder.
    """
    clamped = modality is Modality.CT
    preprocessing = [rule.normalisation, rule.antialias, rule.version, clamped and rule.ct_clamp]
    parts = [content_digest, window.key(), rule.patch, preprocessing, encoder_digest]
    return f"{content_key(content_digest)}-{hashlib.sha256(repr(parts).encode()).hexdigest()}"


def content_of(key: str) -> str:
    """The content key that an `embedding_key` begins with."""
    return key.partition("-")[0]


@dataclass(frozen=True)
class CacheCounters:
    """What happened so far, and what is kept now.

    ``hits`` + ``misses`` = requests; ``joined``: misses that waited for somebody else's encode, so
    ``misses - joined`` encodes were begun; ``damaged``: kept values that did not verify.
    """

    hits: int = 0
    misses: int = 0
    joined: int = 0
    damaged: int = 0
    evicted: int = 0
    entries: int = 0
    bytes: int = 0


@dataclass(frozen=True, eq=False)
class _Kept:
    embedding: Embedding
    check: int


class EmbeddingCache:
    """Least recently used embeddings up to a number of bytes. For one event loop.

    Parameters
    ----------
    limit_bytes
        Of all values together; 0 keeps none (requests at the same time still share one encode).
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._making: dict[str, asyncio.Task[Embedding]] = {}
        self._tasks: set[asyncio.Task[Embedding]] = set()
        self._counters = CacheCounters()

    @property
    def limit_bytes(self) -> int:
        """Of all values together."""
        return self._limit

    @property
    def counters(self) -> CacheCounters:
        """What happened so far."""
        return self._counters

    async def get_or_encode(
        self, key: str, make: Callable[[], Awaitable[Embedding]]
    ) -> tuple[Embedding, bool]:
        """Return the embedding of ``key`` and whether it was kept (a hit).

        On a miss the first to ask calls ``make``, everybody else waits for that one call. It goes
        on when those who wait are cancelled. If it fails, all who wait get the error, and nothing
        is kept.

        Parameters
        ----------
        key
            See `embedding_key`.
        make
            Returns float16 [1, E, g, g, g]; the array becomes read-only.
        """
        found = self._get(key)
        if found is not None:
            self._count(hits=1)
            return found, True
        task = self._making.get(key)
        self._count(misses=1, joined=int(task is not None))
        if task is None:
            task = asyncio.create_task(self._make(key, make))
            self._making[key] = task
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return await asyncio.shield(task), False

    def forget(self, contents: Collection[str] | None = None) -> None:
        """Drop all embeddings of some contents (see `content_key`), or of all.

        What is being made of them now is still answered to those who wait, but not kept.
        """
        for key in [*self._kept, *self._making]:
            if contents is None or content_of(key) in contents:
                self._making.pop(key, None)
                if key in self._kept:
                    self._drop(key)

    async def close(self) -> None:
        """Cancel what is being made and forget everything."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._kept.clear()
        self._counters = replace(self._counters, entries=0, bytes=0)

    async def _make(self, key: str, make: Callable[[], Awaitable[Embedding]]) -> Embedding:
        mine = asyncio.current_task()
        try:
            embedding = await make()
            embedding.setflags(write=False)
            if self._making.get(key) is mine:
                self._put(key, embedding)
            return embedding
        finally:
            if self._making.get(key) is mine:
                del self._making[key]

    def _ended(self, task: asyncio.Task[Embedding]) -> None:
        self._tasks.discard(task)
        # Look at a failure that nobody may be left to see, so that asyncio does not complain.
        if not task.cancelled():
            task.exception()

    def _get(self, key: str) -> Embedding | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        if isal_zlib.crc32(kept.embedding.data) != kept.check:
            self._drop(key)
            self._count(damaged=1)
            return None
        self._kept.move_to_end(key)
        return kept.embedding

    def _put(self, key: str, embedding: Embedding) -> None:
        if embedding.nbytes > self._limit:
            return
        if key in self._kept:
            self._drop(key)
        self._kept[key] = _Kept(embedding, isal_zlib.crc32(embedding.data))
        self._count(entries=1, bytes=embedding.nbytes)
        while self._counters.bytes > self._limit:
            self._drop(next(iter(self._kept)))
            self._count(evicted=1)

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key)
        self._count(entries=-1, bytes=-kept.embedding.nbytes)

    def _count(self, **changes: int) -> None:
        self._counters = counted(self._counters, **changes)
