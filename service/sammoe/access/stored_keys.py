"""API keys that lie in the store: made and revoked while the service runs, on any replica.

Every front end looks for them again and again, as it does for deletions, so a key is known, or
known no more, within seconds. While the store can not be read, what is known goes on for a bounded
time.
"""

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from sammoe.access.identity import Identity
from sammoe.access.keys import digest_of, id_in
from sammoe.access.roles import Role
from sammoe.errors import IdentityUnavailable, SammoeError, StoreUnavailable
from sammoe.store import KeyRecord, Keys, now
from sammoe.telemetry import log_failure

LOOK_SECONDS: Final = 2.0

BLIND_SECONDS: Final = 300.0
"""Whoever could not look for so long may have missed a revocation, and lets nobody in."""

_log = logging.getLogger(__name__)


class StoredKeys:
    """One process's view of the store's keys. For one event loop.

    Parameters
    ----------
    keys
        The store's.
    clock
        Seconds, never going back.
    """

    def __init__(self, keys: Keys, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._clock = clock
        self._records: dict[str, KeyRecord] = {}
        self._ever = False
        self._looked: float | None = None

    @property
    def any(self) -> bool:
        """Whether there ever was a key: then everybody needs one, even if all are revoked."""
        return self._ever

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look once, then again and again while the context lasts.

        Raises
        ------
        StoreUnavailable
            The first look failed.
        """
        await self.look()
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def look(self) -> None:
        """See what was made and revoked since the last look.

        Raises
        ------
        StoreUnavailable
            The store failed; or it has none of the keys any more, and they are never removed.
        """
        began = self._clock()
        # By their names: a key that can not be read opens nothing, and yet everybody needs one.
        if await asyncio.to_thread(self._keys.any):
            self._ever = True
        elif self._ever:
            raise StoreUnavailable("The store has lost its API keys.")
        self._records = await asyncio.to_thread(self._keys.look, self._records)
        self._looked = began

    def identify(self, key: str) -> Identity | None:
        """Whose key it is; None for one that is unknown, revoked or expired.

        Raises
        ------
        IdentityUnavailable
            What is known is too old.
        """
        name = id_in(key)
        record = self._records.get(name) if name is not None else None
        # Compared whether there is such a record or not, so that time tells nothing.
        digest = bytes(32) if record is None else bytes.fromhex(record.digest)
        fits = hmac.compare_digest(digest, digest_of(key))
        if record is None or not fits:
            return None
        if self._looked is None or self._clock() - self._looked > BLIND_SECONDS:
            raise IdentityUnavailable("API keys can not be looked up in the store: try again.")
        if record.revoked or has_expired(record):
            return None
        return Identity(
            record.owner,
            Role(record.role),
            {name: Role(role) for name, role in record.projects.items()},
            f"key:{record.id}",
        )

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except SammoeError as error:
                _log.warning("keys could not be looked up: %s", error.code)
            except Exception as error:  # a fault of ours, which must not end the looking
                log_failure("keys", error)


def has_expired(record: KeyRecord) -> bool:
    """Whether a key's time is over."""
    return record.expires is not None and now() - record.expires >= timedelta(0)
