"""Studies that a PACS tells of, and whole scans, are warmed before anybody clicks on them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Protocol

from sammoe.errors import EngineBusy, SammoeError, TooLarge
from sammoe.pacs import Pacs, SeriesQuery
from sammoe.segmentation.pulling import Pull
from sammoe.segmentation.warming import WarmUp
from sammoe.store import VolumeRecord
from sammoe.telemetry import log_failure
from sammoe.volume.window import Window

_MODALITIES: Final = ("CT", "MR")
_WAITING: Final = 1000

_log = logging.getLogger(__name__)


class Scans(Protocol):
    """Where scans come from: of a workspace, this much."""

    pacs: Pacs

    async def pull_volume(
        self, principal: str, pull: Pull, limit: int
    ) -> tuple[VolumeRecord, bool]: ...


class Warms(Protocol):
    """What embeds them: of a `Warmer`, this much."""

    async def plan(self, principal: str, volume_id: str, budget_bytes: int) -> WarmUp: ...

    def warm_whole(
        self, principal: str, volume_id: str, planned: WarmUp
    ) -> AsyncIterator[Window]: ...

    async def warm(self, principal: str, volume_id: str) -> int: ...


@dataclass(frozen=True, slots=True, repr=False)
class _Study:
    principal: str
    uid: str
    limit: int
    server: str | None


@dataclass(frozen=True, slots=True, repr=False)
class _Scan:
    principal: str
    volume_id: str
    planned: WarmUp


class Prefetcher:
    """Takes one study or scan after the other, so that clicks have the machine. Lives with an event
    loop.

    What waits is lost when the process ends: ``sammoe warm`` finds it again.

    Parameters
    ----------
    budget_bytes
        Most that the embeddings of a study's scan may take.
    """

    def __init__(self, scans: Scans, warmer: Warms, budget_bytes: int) -> None:
        self._scans = scans
        self._warmer = warmer
        self._budget_bytes = budget_bytes
        self._queue: asyncio.Queue[_Study | _Scan] = asyncio.Queue(_WAITING)
        self._task: asyncio.Task[None] | None = None

    def add(self, principal: str, study: str, limit: int, server: str | None) -> int:
        """Have a study's CT and MR series, of up to ``limit`` bytes each, pulled and warmed.

        Returns
        -------
        How many studies wait, this one included.

        Raises
        ------
        PacsUnknown
            There is no such server.
        EngineBusy
            Too many wait.
        """
        self._scans.pacs.connection(server)
        return self._put(_Study(principal, study, limit, server))

    def add_scan(self, principal: str, volume_id: str, planned: WarmUp) -> int:
        """Have windows of a scan embedded; the same for it."""
        return self._put(_Scan(principal, volume_id, planned))

    async def close(self) -> None:
        """Stop; what waits is forgotten."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _put(self, one: _Study | _Scan) -> int:
        try:
            self._queue.put_nowait(one)
        except asyncio.QueueFull:
            raise EngineBusy(f"{_WAITING} wait already to be warmed; ask again later.") from None
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return self._queue.qsize()

    async def _run(self) -> None:
        while True:
            one = await self._queue.get()
            try:
                if isinstance(one, _Study):
                    await self._take(one)
                else:
                    await self._embed(one.principal, one.volume_id, one.planned)
            except SammoeError as error:
                _log.warning("a study or scan was not warmed: %s", error.code)
            except Exception as error:  # a fault of ours, which must not end the work for others
                log_failure("prefetch", error)

    async def _take(self, study: _Study) -> None:
        page = await self._scans.pacs.find_series(SeriesQuery(study=study.uid), study.server)
        for found in page.items:
            if found.modality not in _MODALITIES:
                continue
            try:
                pull = Pull(found.study, found.series, study.server)
                volume, _ = await self._scans.pull_volume(study.principal, pull, study.limit)
                await self._warm(study.principal, volume.id)
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
