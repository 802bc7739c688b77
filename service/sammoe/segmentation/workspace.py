"""The use cases: segment, refine, undo, delete; volumes and results. Knows no HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import Bundle
from sammoe.engine import AUTO, Choice, Engine, Load, WorkerPool
from sammoe.errors import (
    Conflict,
    NotFound,
)
from sammoe.pacs import Pacs
from sammoe.segmentation.allowances import Allowances
from sammoe.segmentation.answers import Segmented
from sammoe.segmentation.clicking import Click, Render
from sammoe.segmentation.forgetting import Forgetting
from sammoe.segmentation.grown import Extent, Progress
from sammoe.segmentation.health import Health
from sammoe.segmentation.parents import ANSWER, Candidate, field_of
from sammoe.segmentation.priors import given_mask, keep_mask
from sammoe.segmentation.prompt import Prompt
from sammoe.segmentation.replays import Replays
from sammoe.segmentation.results import Results
from sammoe.segmentation.series import WholeSeries
from sammoe.segmentation.served import Served
from sammoe.segmentation.volumes import Volumes
from sammoe.segmentation.warmer import Warmer
from sammoe.store import (
    EmbeddingCache,
    Page,
    SegmentationRecord,
    SharedEmbeddings,
    Store,
    StoredResponse,
    VolumeRecord,
)
from sammoe.volume.geometry import Geometry
from sammoe.volume.limits import ReadLimits
from sammoe.volume.measure import Measures, measure
from sammoe.volume.paste import Pasted

T = TypeVar("T")


@dataclass(frozen=True)
class WorkspaceLimits:
    """How much a workspace takes on.

    Attributes
    ----------
    read
        Limits on scans.
    click_workers, scan_workers
        Threads for the short work of clicks and lists, and for the long work on scans (reading
        files, cutting windows): separate, so that no click waits behind an upload.
    click_waiting, scan_waiting
        How many calls may wait for them.
    warming
        How many windows may wait to be embedded that nobody waits for.
    encodes_per_minute
        How many windows one principal may have embedded; 0: no limit.
    """

    read: ReadLimits = field(default_factory=ReadLimits)
    click_workers: int = 4
    scan_workers: int = 2
    click_waiting: int = 64
    scan_waiting: int = 16
    warming: int = 64
    encodes_per_minute: int = 0


@dataclass
class Swaps:
    """``switched``: times that another bundle took over; ``refused``: that one was not fit to;
    ``awaited``: digest of the active bundle, while another answers.
    """

    switched: int = 0
    refused: int = 0
    awaited: str | None = None


class Workspace:
    """What a principal can do. Every method may raise `StoreUnavailable` or `EngineBusy`.

    A record of another principal and no record at all raise the same `NotFound`.

    Parameters
    ----------
    engine, store, cache, shared, pacs
        Used, not owned: whoever made them closes them, after `close`. What is not in the cache is
        looked for in ``shared``, when there is one.

    Attributes
    ----------
    volumes, results
        What a principal can do with those.
    series
        Keeps volumes in step with the PACS, for viewers that tell a series by its UID.
    health
        Whether clicks can be answered.
    swaps
        How often another bundle took over or was refused, and which one should answer and does not.
    forgetting
        Keeps copies in step with deletions.
    warmer
        Embeds what was not clicked on yet; of one scan, up to half of the memory for embeddings.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        cache: EmbeddingCache,
        limits: WorkspaceLimits | None = None,
        shared: SharedEmbeddings | None = None,
        pacs: Pacs | None = None,
    ) -> None:
        limits = limits or WorkspaceLimits()
        self.store = store
        self.cache = cache
        self.shared = shared
        self.swaps = Swaps()
        self.health = Health(lambda: self.engine, store)
        self._observers: list[Callable[[Segmented], None]] = []
        self.pacs = pacs or Pacs(())
        self._limits = limits
        self._clicks = WorkerPool(
            "click", workers=limits.click_workers, waiting=limits.click_waiting
        )
        self._scans = WorkerPool("scan", workers=limits.scan_workers, waiting=limits.scan_waiting)
        self.forgetting = Forgetting(store, cache, shared)
        self.volumes = Volumes(
            store, self.pacs, self.forgetting, limits.read, self._clicks, self._scans
        )
        self.series = WholeSeries(self.volumes)
        self._allowances = Allowances(limits.encodes_per_minute)
        self._served = self._serve(engine)
        self._replays = Replays(store, self._clicks)
        self.results = Results(store, lambda: self.bundle, self._mask, self._clicks, self._scans)
        self.warmer = Warmer(
            self.volumes,
            store,
            lambda: self._served,
            self._scans,
            limits.warming,
            # Who clicks on another scan meanwhile keeps what was embedded for that.
            cache.limit_bytes // 2,
        )

    @property
    def engine(self) -> Engine:
        """The engine that answers now."""
        return self._served.engine

    @property
    def bundle(self) -> Bundle:
        """The bundle that answers now."""
        return self._served.engine.bundle

    @property
    def temporary_folder(self) -> Path:
        """Where to put an upload while it arrives; emptied after a crash."""
        return self.store.temporary_folder

    @property
    def loads(self) -> dict[str, Load]:
        """How busy each queue is: those of the workspace and of the engine that answers now."""
        return {"click": self._clicks.load, "scan": self._scans.load, **self.engine.loads}

    def observe(self, tell: Callable[[Segmented], None]) -> None:
        """Call ``tell`` with each segmentation that is made from now on, whoever asked for it."""
        self._observers.append(tell)

    async def switch(self, engine: Engine) -> None:
        """Let another engine answer from now on.

        Requests under way are finished by the engine that began them; when this returns, the old
        one is used no more and can be closed. Both must not be closed before.
        """
        old, self._served = self._served, self._serve(engine)
        self.swaps.switched += 1
        await old.close()

    async def close(self) -> None:
        """Stop background work and free the threads; calls under way are finished first."""
        await self.warmer.close()
        await asyncio.gather(self._clicks.close(), self._scans.close(), self._served.close())

    @property
    def read_limits(self) -> ReadLimits:
        """The largest scan that is taken."""
        return self._limits.read

    async def segment(
        self,
        principal: str,
        volume_id: str,
        prompt: Prompt,
        *,
        parent: str | None = None,
        tau: float | None = None,
        expert: str = AUTO,
        extent: Extent | None = None,
        refined: Candidate = ANSWER,
        render: Render | None = None,
        progress: Progress | None = None,
        name: str | None = None,
    ) -> Segmented:
        """Segment, or refine ``parent``: its clicks count too, and its mask is the prior.

        Parameters
        ----------
        tau, expert
            See `Choice`.
        extent
            How many windows may be looked at, and whether to follow the mask beyond those that the
            prompt lies in.
        refined
            Which of the parent's masks to refine; computed if it was not.
        progress
            Told what is known before each further level of windows.
        render
            Makes the caller's bytes of the mask, in a worker, while the record is being written.
        name
            Id of the new segmentation, where one was promised.

        Raises
        ------
        PromptInvalid, TooLarge
            The prompt can not be used; see `sammoe.segmentation.planning.plan`.
        Conflict
            The parent belongs to another volume, was made with other windows, or by an expert that
            is asked for again and gone from the bundle.
        NoForeground
            There is nothing to see in the window.
        EngineError
            The engine is busy, failed, or answered nonsense.
        """
        choice, extent = Choice(expert, tau), extent or Extent()
        click = Click(principal, volume_id, prompt, parent, choice, extent, refined, name)
        with self._served.used() as served:
            if parent is not None and refined != ANSWER:
                await served.candidates.make(principal, parent, refined)
            made = await served.clicker.click(click, render, progress)
        for tell in self._observers:
            tell(made)
        return made

    async def get_segmentation(self, principal: str, name: str) -> SegmentationRecord:
        """Return a segmentation's record."""
        return await self._short(lambda: self.store.segmentations.get(principal, name))

    async def list_segmentations(
        self, principal: str, volume_id: str, cursor: str | None = None, limit: int = 50
    ) -> Page[SegmentationRecord]:
        """List a volume's segmentations, newest first."""
        return await self._short(
            lambda: self.store.segmentations.page(principal, volume_id, cursor, limit)
        )

    async def delete_segmentation(self, principal: str, name: str) -> None:
        """Delete a segmentation; those that refine it stay.

        Raises
        ------
        Conflict
            A result holds it.
        """
        await self._short(lambda: self._delete_segmentation(principal, name))

    async def undo(self, principal: str, name: str) -> SegmentationRecord:
        """Return the segmentation that this one refines.

        Raises
        ------
        Conflict
            It refines none, or that one was deleted.
        """
        record = await self.get_segmentation(principal, name)
        if record.parent is None:
            raise Conflict("There is nothing to undo: this is a first click.")
        try:
            return await self.get_segmentation(principal, record.parent)
        except NotFound:
            raise Conflict("The segmentation before this one was deleted.") from None

    async def mask(
        self, principal: str, name: str, candidate: Candidate = "fused"
    ) -> tuple[Pasted, VolumeRecord]:
        """Return a mask on the volume's own grid, computed if its click did not.

        Raises
        ------
        CandidateMissing, CandidateGone
            See `sammoe.segmentation.candidates.CandidateMaker.make`.
        """
        if candidate != ANSWER:
            with self._served.used() as served:
                await served.candidates.make(principal, name, candidate)
        return await self._short(lambda: self._mask(principal, name, candidate))

    async def add_mask(
        self,
        principal: str,
        volume_id: str,
        path: Path,
        *,
        label: int | None = None,
        name: str | None = None,
    ) -> tuple[SegmentationRecord, VolumeRecord]:
        """Keep a mask that somebody brings, as a segmentation that can be refined.

        Parameters
        ----------
        path
            NIfTI or NRRD on the volume's own grid, or a DICOM SEG made on its series.
        label
            Which voxels belong to it; None: all that are not 0.
        name
            Id of the new segmentation, where one was promised.

        Raises
        ------
        PriorInvalid
            It lies on another grid, or is empty.
        VolumeInvalid, TooLarge
            See `sammoe.volume.reading.read_volume`.
        """
        bundle, limits = self.bundle, self._limits.read
        ran = await self._scans.run(
            lambda: given_mask(self.store, bundle, principal, volume_id, path, label, limits, name)
        )
        return ran.value

    async def keep_mask(
        self, principal: str, volume_id: str, read: Callable[[], NDArray[np.bool_]]
    ) -> SegmentationRecord:
        """Keep a mask that comes by another way than as a file; as `add_mask`.

        Parameters
        ----------
        read
            Makes it, in a worker: bool [i, j, k].
        """
        bundle = self.bundle

        def keep() -> SegmentationRecord:
            volume = self.store.volumes.get(principal, volume_id)
            return keep_mask(self.store, bundle, volume, read())

        return (await self._scans.run(keep)).value

    async def measure(self, principal: str, name: str) -> Measures:
        """Measure the answer of a segmentation."""
        return await self._short(lambda: measure(*self._answer(principal, name)))

    async def answer_once(
        self,
        principal: str,
        key: str,
        request_digest: str,
        handle: Callable[[str], Awaitable[StoredResponse]],
        volume_id: str | None = None,
        owner: str | None = None,
    ) -> StoredResponse:
        """Answer a request with an Idempotency-Key; see `Replays.answer`."""
        return await self._replays.answer(principal, key, request_digest, handle, volume_id, owner)

    async def _short(self, call: Callable[[], T]) -> T:
        return (await self._clicks.run(call)).value

    def _delete_segmentation(self, principal: str, name: str) -> None:
        self.results.check_unused(self.store.segmentations.get(principal, name))
        self.store.segmentations.delete(principal, name)

    def _serve(self, engine: Engine) -> Served:
        return Served(
            engine,
            self.store,
            self.cache,
            self.shared,
            self.forgetting,
            self._allowances,
            clicks=self._clicks,
            scans=self._scans,
        )

    def _mask(
        self, principal: str, name: str, candidate: Candidate = "fused"
    ) -> tuple[Pasted, VolumeRecord]:
        record, fields = self.store.segmentations.with_fields(principal, name)
        volume = self.store.volumes.get(principal, record.volume_id)
        return field_of(record, fields, candidate).paste(volume.geometry), volume

    def _answer(self, principal: str, name: str) -> tuple[Pasted, Geometry]:
        pasted, volume = self._mask(principal, name)
        return pasted, volume.geometry
