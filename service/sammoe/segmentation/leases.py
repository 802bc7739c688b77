"""Viewers whose protocol keeps their state at the server: they claim a lease and draw under it.

A lease is a record in the store, so it survives a restart, and any replica serves it. It ends when
it is released, when nobody has done anything for a while, or when its viewer gives no sign of life;
the scan that the viewer sent goes with it. A viewer sends one request at a time.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sammoe.audit import UNTOLD, Deeds
from sammoe.errors import LeaseGone, NoLeaseFree, NotFound, SammoeError, StoreUnavailable
from sammoe.segmentation.workspace import Workspace
from sammoe.store import LeaseRecord, now
from sammoe.telemetry import log_failure

_SECRET_BYTES: Final = 24

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeaseTerms:
    """How many viewers there may be, and how long each may rest.

    Attributes
    ----------
    leases
        At once, of all principals.
    idle
        Seconds without a person doing anything.
    liveness
        Seconds without any request of the viewer, which sends one twice as often.
    sweep
        Seconds between two looks for leases that have ended.
    """

    leases: int = 64
    idle: float = 600.0
    liveness: float = 120.0
    sweep: float = 30.0


class Leases:
    """Claims, keeps and ends leases.

    Parameters
    ----------
    deeds
        Told of leases that end by themselves; while that can not be told, they wait.

    Raises
    ------
    LeaseGone
        From every method that takes a token: there is no such lease of this principal any more.
    StoreUnavailable
        From every method.
    """

    def __init__(
        self, workspace: Workspace, terms: LeaseTerms | None = None, deeds: Deeds = UNTOLD
    ) -> None:
        self.terms = terms or LeaseTerms()
        self._deeds = deeds
        self._workspace = workspace
        self._records = workspace.store.leases

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """End leases that nobody uses any more while the context lasts."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def claim(self, principal: str) -> str:
        """Start a lease; returns its token.

        Raises
        ------
        NoLeaseFree
            There are as many as may be.
        """
        if await self.sweep() >= self.terms.leases:
            raise NoLeaseFree(
                f"{self.terms.leases} viewers are connected, which is all that the service takes:"
                " try again later."
            )
        secret, moment = secrets.token_hex(_SECRET_BYTES), now()
        record = LeaseRecord(
            id=self._workspace.store.new_id(),
            owner=principal,
            created=moment,
            token_digest=_digest(secret),
            used=moment,
            seen=moment,
        )
        await asyncio.to_thread(self._records.put, record)
        return f"{record.id}{secret}"

    async def find(self, principal: str, token: str) -> LeaseRecord:
        """The lease of a token, as it was last kept; it counts as a sign of life."""
        name, secret = token[:26], token[26:]
        try:
            record = await asyncio.to_thread(self._records.get, name)
        except NotFound:
            raise _gone() from None
        known = hmac.compare_digest(record.token_digest, _digest(secret))
        if not known or record.owner != principal or self._has_ended(record):
            raise _gone()
        if self._age(record.seen) > self.terms.liveness / 4:
            # Not in the record: a sign of life may come while a prompt is being answered.
            await asyncio.to_thread(self._records.touch, record.id)
        return record

    async def use(self, record: LeaseRecord, **changes: object) -> LeaseRecord:
        """Keep a lease with changes that a person has made."""
        moment = now()
        record = record.model_copy(update={**changes, "used": moment, "seen": moment})
        try:
            await asyncio.to_thread(self._records.change, record)
        except NotFound:
            raise _gone() from None
        return record

    async def end(self, record: LeaseRecord) -> bool:
        """End a lease and delete the scan that came under it; whether nobody else was faster."""
        # The scan first: as long as the record is there, somebody can try again.
        ended = await self.drop_volume(record)
        with suppress(NotFound):  # it went with its scan, or another process was faster
            await asyncio.to_thread(self._records.delete, record.id)
            ended = True
        return ended

    async def drop_volume(self, record: LeaseRecord) -> bool:
        """Delete the scan that came under a lease, if there is one; whether there was."""
        if record.volume_id is None:
            return False
        try:
            await self._workspace.volumes.delete(record.owner, record.volume_id)
        except NotFound:  # its owner may have deleted it
            return False
        return True

    async def sweep(self) -> int:
        """End leases that nobody uses any more; the number of those left."""
        left = 0
        for name in await asyncio.to_thread(self._records.ids):
            try:
                record = await asyncio.to_thread(self._records.get, name)
            except NotFound:
                continue
            except StoreUnavailable as error:  # damaged, or of another version: it is nobody's
                _log.warning("a lease can not be read: %s", error.code)
                continue
            if self._has_ended(record):
                self._deeds.check()
                if await self.end(record):
                    self._deeds.tell("viewer.release", volume=record.volume_id, owner=record.owner)
            else:
                left += 1
        return left

    def remaining(self, record: LeaseRecord) -> float:
        """Seconds until a lease ends if nobody does anything."""
        return max(0.0, self.terms.idle - self._age(record.used))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.terms.sweep)
            try:
                await self.sweep()
            except SammoeError as error:
                _log.warning("leases that have ended were not removed: %s", error.code)
            except Exception as error:  # a fault of ours, which must not end the sweeping
                log_failure("leases", error)

    def _has_ended(self, record: LeaseRecord) -> bool:
        terms = self.terms
        return self._age(record.used) > terms.idle or self._age(record.seen) > terms.liveness

    @staticmethod
    def _age(moment: datetime) -> float:
        age: timedelta = now() - moment
        return age.total_seconds()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _gone() -> LeaseGone:
    return LeaseGone("There is no such lease any more: connect again.")
