"""Embeddings in Redis: read where they are, else made once for all processes that ask."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace

from sammoe.store.counting import counted
from sammoe.store.embeddings import Embedding, content_of
from sammoe.store.redis.commands import Commands, RedisLimits, Reply
from sammoe.store.redis.payload import pack, packed_size, unpack
from sammoe.store.shared import SharedCounters

_RENEWALS = 4
"""Per life of a lock."""


class RedisEmbeddings:
    """`SharedEmbeddings` in Redis. For one event loop, behind an `EmbeddingCache`.

    Whoever misses a value takes its lock, encodes, writes the value and gives the lock back; others
    look again and again until the value is there. When the holder fails, the next takes the lock;
    when it dies, the lock expires; when all takes too long, or Redis fails, each process encodes
    for itself.

    Parameters
    ----------
    url
        As ``Settings.redis_url``.

    Raises
    ------
    SettingsInvalid
        The URL has an option that there is not.
    """

    def __init__(self, url: str, limits: RedisLimits | None = None) -> None:
        self._limits = limits or RedisLimits()
        self._commands = Commands(url, self._limits)
        self._counters = SharedCounters()

    @property
    def counters(self) -> SharedCounters:
        """What happened so far."""
        asked = self._commands
        return replace(self._counters, errors=asked.errors, full=asked.full, away=asked.away)

    async def get_or_encode(
        self, key: str, shape: tuple[int, ...], make: Callable[[], Awaitable[Embedding]]
    ) -> tuple[Embedding, bool]:
        """See `SharedEmbeddings.get_or_encode`."""
        if packed_size(shape) > self._limits.largest_bytes:
            self._count(misses=1)
            return await make(), False
        token = secrets.token_hex(16)
        found, waited = await self._find(key, shape, token)
        if not isinstance(found, Reply):
            self._count(hits=int(not waited), misses=int(waited), joined=int(waited))
            return found, not waited
        self._count(misses=1)
        if found is not Reply.DONE:
            return await self._make(key, make, publish=found is not Reply.FULL), False
        async with self._held(key, token, packed_size(shape)):
            return await self._make(key, make), False

    async def forget(self, contents: Collection[str]) -> bool:
        """See `SharedEmbeddings.forget`; looks at the names of all keys."""
        return await self._commands.remove(lambda key: content_of(key) in contents)

    async def close(self) -> None:
        """Close the connections."""
        await self._commands.close()

    async def _find(
        self, key: str, shape: tuple[int, ...], token: str
    ) -> tuple[Embedding | Reply, bool]:
        """The embedding, or why it is to be made here; and whether another process was awaited."""
        size, waited, failures = packed_size(shape), False, 0
        end = time.monotonic() + self._limits.wait_seconds
        while True:
            answer = await self._commands.claim(key, token, size)
            if isinstance(answer, bytes):
                embedding = unpack(answer, key, shape)
                if embedding is not None:
                    return embedding, waited
                await self._commands.forget(key, answer)
                answer = Reply.FOREIGN
            match answer:
                case Reply.TAKEN:
                    waited = True
                case Reply.FOREIGN:
                    self._count(damaged=1)
                    failures += 1
                case Reply.FAILED:
                    failures += 1
                case _:
                    return answer, waited
            if failures == self._limits.failures or time.monotonic() > end:
                return answer, waited
            await asyncio.sleep(self._limits.poll_seconds)

    async def _make(
        self, key: str, make: Callable[[], Awaitable[Embedding]], *, publish: bool = True
    ) -> Embedding:
        embedding = await make()
        if publish:
            await self._commands.publish(key, pack(embedding, key))
        return embedding

    @asynccontextmanager
    async def _held(self, key: str, token: str, size: int) -> AsyncIterator[None]:
        """Renew a lock again and again, and give it back at the end."""
        renewing = asyncio.create_task(self._renew(key, token, size))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            await self._commands.release(key, token)

    async def _renew(self, key: str, token: str, size: int) -> None:
        while True:
            await asyncio.sleep(self._limits.lock_seconds / _RENEWALS)
            await self._commands.claim(key, token, size)

    def _count(self, **changes: int) -> None:
        self._counters = counted(self._counters, **changes)
