"""The same request under the same Idempotency-Key gets the same answer."""

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from sammoe.engine import WorkerPool
from sammoe.store import Store, StoredResponse


class Replays:
    """Answers requests once per principal and key."""

    def __init__(self, store: Store, pool: WorkerPool) -> None:
        self._responses = store.responses
        self._pool = pool
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def answer(
        self,
        principal: str,
        key: str,
        request_digest: str,
        handle: Callable[[], Awaitable[StoredResponse]],
    ) -> StoredResponse:
        """Return the answer that is kept, else ask ``handle`` and keep what it returns.

        A second request with the key waits for the first. An error is not kept: the request may be
        tried again.

        Raises
        ------
        IdempotencyConflict
            The key was used with another request.
        """
        # The dictionary holds a lock as long as somebody here uses it.
        lock = self._locks.setdefault((principal, key), asyncio.Lock())
        async with lock:
            found = await self._pool.run(
                lambda: self._responses.get(principal, key, request_digest)
            )
            if found.value is not None:
                return found.value
            response = await handle()
            kept = await self._pool.run(
                lambda: self._responses.put(principal, key, request_digest, response)
            )
            return kept.value
