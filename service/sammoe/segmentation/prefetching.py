"""Studies that a PACS tells of, and whole scans, are warmed before anybody clicks on them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from sammoe.errors import EngineBusy, SammoeError, StoreUnavailable, TooLarge
from sammoe.pacs import Pacs, SeriesQuery
from sammoe.segmentation.pulling import Pull
from sammoe.segmentation.warming import WarmUp
from sammoe.store import VolumeRecord, Waiting, WaitingRecord, now
from sammoe.store.waiting import SILENT_SECONDS
from sammoe.telemetry import log_failure
from sammoe.volume.window import Window

_MODALITIES: Final = ("CT", "MR")
_WAITING: Final = 1000

_LOOK_SECONDS: Final = 10.0
"""Between two looks for studies that other front ends were told of, or left."""

_KEEP_SECONDS: Final = SILENT_SECONDS / 4

_log = logging.getLogger(__name__)


class Scans(Protocol):
    """Where scans come from: of `Volumes`, this much."""

    pacs: Pacs

    async def pull(self, principal: str, pull: Pull, limit: int) -> tuple[VolumeRecord, bool]: ...


class Warms(Protocol):
    """What embeds them: of a `Warmer`, this much."""

    async def plan(self, principal: str, volume_id: str, budget_bytes: int) -> WarmUp: ...

    def warm_whole(
        self, principal: str, volume_id: str, planned: WarmUp
    ) -> AsyncIterator[Window]: ...

    async def warm(self, principal: str, volume_id: str) -> int: ...


@dataclass(frozen=True, slots=True, repr=False)
class _Scan:
    principal: str
    volume_id: str
    planned: WarmUp


class Prefetcher:
    """Takes one scan or study after the other, so that clicks have the machine. Lives with an event
    loop.

    Studies wait in the store, where any front end takes them, also after a restart; scans wait in
    this process, and before studies, for somebody has asked for each.

    Parameters
    ----------
    waiting
        Studies.
    new_id
        Makes ids for them.
    budget_bytes
        Most that the embeddings of a study's scan may take.
    """

    def __init__(
        self,
        scans: Scans,
        warmer: Warms,
        waiting: Waiting,
        new_id: Callable[[], str],
        budget_bytes: int,
    ) -> None:
        self._scans = scans
        self._warmer = warmer
        self._waiting = waiting
        self._new_id = new_id
        self._budget_bytes = budget_bytes
        self._queue: asyncio.Queue[_Scan] = asyncio.Queue(_WAITING)
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def add(self, principal: str, study: str, limit: int, server: str | None) -> int:
        """Have a study's CT and MR series, of up to ``limit`` bytes each, pulled and warmed.

        Returns
        -------
        How many studies wait or are being taken, this one included.

        Raises
        ------
        PacsUnknown
            There is no such server.
        EngineBusy
            Too many wait.
        StoreUnavailable
            It is not kept.
        """
        self._scans.pacs.connection(server)
        count = await asyncio.to_thread(self._waiting.count)
        if count >= _WAITING:
            raise _too_many()
        record = WaitingRecord(
            id=self._new_id(),
            owner=principal,
            created=now(),
            study=study,
            server=server,
            limit=limit,
        )
        await asyncio.to_thread(self._waiting.add, record)
        self.start()
        return count + 1

    def add_scan(self, principal: str, volume_id: str, planned: WarmUp) -> int:
        """Have windows of a scan embedded; how many scans wait, this one included.

        Raises
        ------
        EngineBusy
            Too many wait.
        """
        try:
            self._queue.put_nowait(_Scan(principal, volume_id, planned))
        except asyncio.QueueFull:
            raise _too_many() from None
        self.start()
        return self._queue.qsize()

    def start(self) -> None:
        """Take what waits from now on."""
        self._more.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; the study that is being taken waits again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._more.clear()
            try:
                if not self._queue.empty():
                    scan = self._queue.get_nowait()
                    await self._embed(scan.principal, scan.volume_id, scan.planned)
                    continue
                study = await asyncio.to_thread(self._waiting.take)
                if study is not None:
                    await self._prepare(study)
                    continue
            except SammoeError as error:
                _log.warning("a study or scan was not warmed: %s", error.code)
                continue
            except Exception as error:  # a fault of ours, which must not end the work for others
                log_failure("prefetch", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), _LOOK_SECONDS)

    async def _prepare(self, study: WaitingRecord) -> None:
        """Take a study, and say so as long as it lasts; one that fails is taken again later."""
        keeping = asyncio.create_task(self._keep(study))
        try:
            await self._take(study)
        except asyncio.CancelledError:
            keeping.cancel()
            await asyncio.to_thread(self._waiting.give_back, study)
            raise
        finally:
            keeping.cancel()
        await asyncio.to_thread(self._waiting.done, study)

    async def _keep(self, study: WaitingRecord) -> None:
        while True:
            await asyncio.sleep(_KEEP_SECONDS)
            with suppress(StoreUnavailable):
                await asyncio.to_thread(self._waiting.keep, study)

    async def _take(self, study: WaitingRecord) -> None:
        page = await self._scans.pacs.find_series(SeriesQuery(study=study.study), study.server)
        for found in page.items:
            if found.modality not in _MODALITIES:
                continue
            try:
                pull = Pull(found.study, found.series, study.server)
                volume, _ = await self._scans.pull(study.owner, pull, study.limit)
                await self._warm(study.owner, volume.id)
            except SammoeError as error:
                _log.info("a series was not warmed: %s", error.code)

    async def _warm(self, principal: str, volume_id: str) -> None:
        """The windows that most clicks would take; only the middle one where they are too many."""
        try:
            planned = await self._warmer.plan(principal, volume_id, self._budget_bytes)
        except TooLarge:
            await self._warmer.warm(principal, volume_id)
        else:
            await self._embed(principal, volume_id, planned)

    async def _embed(self, principal: str, volume_id: str, planned: WarmUp) -> None:
        async for _ in self._warmer.warm_whole(principal, volume_id, planned):
            pass


def _too_many() -> EngineBusy:
    return EngineBusy(f"{_WAITING} wait already to be warmed; ask again later.")
