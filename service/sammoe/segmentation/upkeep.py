"""What a front end does on its own: forget what others deleted, tidy up the store in turn, prepare
studies that wait, and look whether it is fit for clicks, so that metrics tell it although nobody
asks.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sammoe.audit import UNTOLD, Deeds
from sammoe.errors import SammoeError
from sammoe.segmentation.workspace import Workspace
from sammoe.telemetry import log_failure

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UpkeepTimes:
    """Seconds between two looks for deletions, two for whether it is time to tidy, and two at the
    health of engine and store.
    """

    look: float = 2.0
    tidy: float = 300.0
    health: float = 10.0


class Upkeep:
    """Runs beside a workspace.

    Parameters
    ----------
    deeds
        Told of what is deleted because it is too old; while that can not be told, nothing is.
    """

    def __init__(
        self, workspace: Workspace, deeds: Deeds = UNTOLD, times: UpkeepTimes | None = None
    ) -> None:
        self._workspace = workspace
        self._deeds = deeds
        self._times = times or UpkeepTimes()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep up while the context lasts."""
        self._workspace.warmer.start()
        tasks = [
            asyncio.create_task(_repeat("look", self._look, self._times.look)),
            asyncio.create_task(_repeat("tidy", self._tidy, self._times.tidy)),
            asyncio.create_task(
                _repeat("health", self._workspace.health.check, self._times.health)
            ),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        await self._workspace.forgetting.look()

    async def _tidy(self) -> None:
        self._deeds.check()
        await asyncio.to_thread(self._workspace.store.housekeeping.run_in_turn, self._deeds)


async def _repeat(name: str, deed: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        try:
            await deed()
        except SammoeError as error:
            _log.warning("upkeep (%s) failed and will be tried again: %s", name, error.code)
        except Exception as error:  # a fault of ours, which must not end the upkeep
            log_failure(f"upkeep-{name}", error)
        await asyncio.sleep(seconds)
