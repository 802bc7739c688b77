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
        owner: str | None = None,
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
        owner
            Of that volume; None: the principal.

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
            volume = None if volume_id is None else (owner or principal, volume_id)
            response = await handle(await self._promise(principal, key, request_digest, volume))
            kept = await self._pool.run(
                lambda: self._responses.put(principal, key, request_digest, response)
            )
            return kept.value

    async def _promise(
        self, principal: str, key: str, request_digest: str, volume: tuple[str, str] | None
    ) -> str:
        if volume is None:
            return self._store.new_id()
        name = self._store.new_id(volume[1])
        ran = await self._pool.run(
            lambda: self._responses.promise(principal, key, request_digest, volume, name)
        )
        return ran.value
