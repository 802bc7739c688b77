"""Embeds windows before anybody clicks there, so that the first click finds its own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from sammoe.engine import WorkerPool
from sammoe.errors import EngineBusy, NoForeground, RateExceeded, SammoeError, TooLarge
from sammoe.segmentation.planning import window_to_warm
from sammoe.segmentation.prefetching import Prefetcher
from sammoe.segmentation.prompt import Prompt
from sammoe.segmentation.served import Served
from sammoe.segmentation.volumes import Volumes
from sammoe.segmentation.warming import WarmUp, warm_up
from sammoe.store import Store, VolumeRecord
from sammoe.volume.window import Window

_MIB: Final = 1 << 20

_log = logging.getLogger(__name__)


class Warmer:
    """Warms the window of a click that may come, whole scans, and studies that a PACS tells of.

    Parameters
    ----------
    volumes
        Where volumes are, and studies are found.
    served
        Returns what answers now.
    pool
        Reads voxels.
    most_waiting
        How many windows may wait to be embedded.
    budget_bytes
        What the embeddings of one scan may take where nobody says how many.
    """

    def __init__(
        self,
        volumes: Volumes,
        store: Store,
        served: Callable[[], Served],
        pool: WorkerPool,
        most_waiting: int,
        budget_bytes: int,
    ) -> None:
        self.budget_bytes = budget_bytes
        self._volumes = volumes
        self._store = store
        self._served = served
        self._pool = pool
        self._most_waiting = most_waiting
        self._background: set[asyncio.Task[None]] = set()
        self._prefetcher = Prefetcher(volumes, self, store.waiting, store.new_id, budget_bytes)

    async def close(self) -> None:
        """Stop; windows and scans that wait are forgotten, studies are kept."""
        await self._prefetcher.close()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def warm(
        self,
        principal: str,
        volume_id: str,
        prompt: Prompt | None = None,
        spacing: float | None = None,
    ) -> int:
        """Embed in the background the window that a first click would take.

        Parameters
        ----------
        prompt
            The click; without one, the volume's middle is taken.
        spacing
            Model-grid spacing in mm in place of the modality's default; not with a box, which says
            its own scale.

        Returns
        -------
        Number of windows that will be there.

        Raises
        ------
        PromptInvalid, InvalidInput
            The prompt can not be used, or the bundle has no such spacing.
        EngineBusy
            Too many windows wait.
        """
        volume = await self._volumes.get(principal, volume_id)
        window = window_to_warm(volume, prompt, spacing, self._served().rule)
        if len(self._background) >= self._most_waiting:
            raise EngineBusy(f"{self._most_waiting} windows wait to be embedded; try again.")
        task = asyncio.create_task(self._embed(volume, window))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return 1

    async def warm_study(
        self, principal: str, study: str, limit: int, server: str | None = None
    ) -> int:
        """Pull in the background the scans of a study, and warm each; see `Prefetcher.add`."""
        return await self._prefetcher.add(principal, study, limit, server)

    def start(self) -> None:
        """Take studies that wait in the store, whoever was told of them, from now on."""
        self._prefetcher.start()

    def warm_later(self, principal: str, volume_id: str, planned: WarmUp) -> None:
        """`warm_whole` in the background, after the scans that wait."""
        self._prefetcher.add_scan(principal, volume_id, planned)

    async def plan(self, principal: str, volume_id: str, budget_bytes: int | None = None) -> WarmUp:
        """Say which windows of a scan `warm_whole` shall embed: those that most clicks would take.

        Parameters
        ----------
        budget_bytes
            For all of their embeddings; None: whatever it takes.

        Raises
        ------
        TooLarge
            They would take more.
        """
        volume = await self._volumes.get(principal, volume_id)
        rule, model = self._served().rule, self._served().engine.bundle.manifest.model
        embedding_bytes = 2 * model.embedding_channels * model.grid**3
        ran = await self._pool.run(
            lambda: warm_up(volume, self._store.volumes.voxels(volume), rule, embedding_bytes)
        )
        planned = ran.value
        if budget_bytes is not None and planned.size > budget_bytes:
            raise TooLarge(
                f"The embeddings of {len(planned.windows)} windows take"
                f" {planned.size / _MIB:.1f} MiB, and {budget_bytes / _MIB:.1f} MiB are allowed."
            )
        return planned

    async def encode_seconds(self) -> float:
        """How long the engine that answers now takes for a window, by trying once."""
        with self._served().used() as served:
            return await served.encode_seconds()

    async def warm_whole(
        self, principal: str, volume_id: str, planned: WarmUp
    ) -> AsyncIterator[Window]:
        """Embed the windows that were planned, one after the other.

        Yields
        ------
        Each window that is there.
        """
        volume = await self._volumes.get(principal, volume_id)
        for window in planned.windows:
            with suppress(NoForeground):
                await self._warm_one(volume, window)
            yield window

    async def _embed(self, volume: VolumeRecord, window: Window) -> None:
        try:
            await self._warm_one(volume, window)
        except SammoeError as error:
            _log.warning("a window was not embedded in the background: %s", error.code)

    async def _warm_one(self, volume: VolumeRecord, window: Window) -> None:
        """Embed a window that nobody waits for, when its owner may have one embedded again."""
        while True:
            try:
                with self._served().used() as served:
                    await served.embedder.embed(volume, window, warming=True)
                return
            except RateExceeded as error:
                await asyncio.sleep(error.retry_seconds)
