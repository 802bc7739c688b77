"""Forgetting what was deleted: copies in this process, and embeddings that replicas share.

Whoever deletes a volume says so in the store (`sammoe.store.deletions`). Every front end looks
there again and again, so each forgets within seconds, whoever deleted, with a Redis or without.
Embeddings stay as long as any volume has the same content, of whatever owner.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from sammoe.errors import SammoeError
from sammoe.store import EmbeddingCache, SharedEmbeddings, Store, VolumeRecord, content_key
from sammoe.store.deletions import KEPT_SECONDS

_BLIND_SECONDS: Final = KEPT_SECONDS / 2
"""Who could not look for so long may have missed a deletion, and forgets all embeddings."""

_log = logging.getLogger(__name__)


class Forgetting:
    """Keeps one process's copies in step with what was deleted. For one event loop.

    Parameters
    ----------
    clock
        Seconds, never going back.
    """

    def __init__(
        self,
        store: Store,
        cache: EmbeddingCache,
        shared: SharedEmbeddings | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._cache = cache
        self._shared = shared
        self._clock = clock
        self._looked = clock()
        self._seen: set[str] = set()
        self._left: set[str] = set()

    async def look(self) -> None:
        """Forget what was deleted since the last look.

        Raises
        ------
        StoreUnavailable
            The next look makes up for it.
        """
        deletions = self._store.deletions
        if self._clock() - self._looked > _BLIND_SECONDS:
            self._cache.forget()
        ids = await asyncio.to_thread(deletions.ids)
        new = await asyncio.to_thread(deletions.read, ids - self._seen)
        await asyncio.to_thread(deletions.forget_copies, new)
        await self._forget({deletion.content for deletion in new})
        self._seen = ids
        self._looked = self._clock()

    async def check(self, volume: VolumeRecord) -> None:
        """Return if a volume is still there; to be called after an embedding of it was kept.

        Deleted later, it is found by the next look; deleted before, its embedding goes now.

        Raises
        ------
        NotFound
            It was deleted.
        """
        try:
            await asyncio.to_thread(self._store.volumes.check, volume.owner, volume.id)
        except SammoeError:
            content = content_key(volume.content_digest)
            self._cache.forget({content})
            self._left.add(content)
            raise

    async def _forget(self, contents: set[str]) -> None:
        contents = contents | self._left
        if not contents:
            return
        unused = await asyncio.to_thread(self._store.deletions.unused, contents)
        self._cache.forget(unused)
        self._left -= contents
        if unused and self._shared is not None and not await self._shared.forget(unused):
            self._left |= unused
            _log.warning("Redis did not forget what was deleted; it will be asked again")
