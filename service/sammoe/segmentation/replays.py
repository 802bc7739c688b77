"""The same request under the same Idempotency-Key gets the same answer."""

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from sammoe.engine import WorkerPool
from sammoe.store import Store, StoredResponse


class Replays:
    """Answers requests once per principal and key."""

    def __init__(self, store: Store, pool: WorkerPool) -> None:
        self._store = store
        self._responses = store.responses
        self._pool = pool
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def answer(
        self,
        principal: str,
        key: str,
        request_digest: str,
        handle: Callable[[str], Awaitable[StoredResponse]],
        volume_id: str | None = None,
    ) -> StoredResponse:
        """Return the answer that is kept, else ask ``handle`` and keep what it returns.

        A second request with the key waits for the first. An error is not kept: the request may be
        tried again.

        Parameters
        ----------
        handle
            Does the work; what it makes gets the id that it is called with.
        volume_id
            On which volume something is made. The promise is kept then, so that whoever asks again
            after this process died makes it no second time.

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
            response = await handle(await self._promise(principal, key, request_digest, volume_id))
            kept = await self._pool.run(
                lambda: self._responses.put(principal, key, request_digest, response)
            )
            return kept.value

    async def _promise(
        self, principal: str, key: str, request_digest: str, volume_id: str | None
    ) -> str:
        if volume_id is None:
            return self._store.new_id()
        name = self._store.new_id(volume_id)
        ran = await self._pool.run(
            lambda: self._responses.promise(principal, key, request_digest, volume_id, name)
        )
        return ran.value
