"""The way of a click, from prompt to mask; the path that has to be fast.

One hop to a worker reads the records and plans, one decodes (the engine's), one pastes, and while
it renders, another thread writes the record.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np

from sammoe.engine import Choice, Decoded, Engine, WorkerPool, check_choice
from sammoe.errors import Conflict, ExpertGone, ExpertUnknown, NotFound
from sammoe.segmentation.answers import Segmented, Timings
from sammoe.segmentation.doubts import doubts
from sammoe.segmentation.embedding import Embedder
from sammoe.segmentation.planning import Parent, Plan, answer, plan
from sammoe.segmentation.prompt import Prompt
from sammoe.store import (
    ChoiceRecord,
    RouteRecord,
    SegmentationRecord,
    Store,
    VolumeRecord,
    WindowRecord,
    now,
    rounded,
)
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import Pasted, paste
from sammoe.volume.window import WindowRule

Render = Callable[[Pasted, Geometry], bytes]
"""Makes bytes of a mask on its volume's grid."""

_WRITERS = 16


@dataclass(frozen=True)
class Click:
    """A request to segment."""

    principal: str
    volume_id: str
    prompt: Prompt
    parent: str | None
    choice: Choice


class Clicker:
    """Answers clicks; see `Workspace.segment`."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        embedder: Embedder,
        rule: WindowRule,
        pool: WorkerPool,
    ) -> None:
        self._engine = engine
        self._store = store
        self._embedder = embedder
        self._rule = rule
        self._pool = pool
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="sammoe-write")

    async def click(self, click: Click, render: Render | None) -> Segmented:
        """Plan, embed, decode, paste, and keep the record."""
        read = await self._pool.run(lambda: self._prepare(click))
        volume, planned = read.value
        embedded = await self._embedder.embed(volume, planned.window)
        started = time.perf_counter()
        decoded = await self._engine.decode(
            embedded.embedding, planned.inputs, click.choice, volume.modality
        )
        decode_ms = 1000 * (time.perf_counter() - started) - decoded.queue_ms
        phases = {
            "queue": read.queue_ms + decoded.queue_ms,
            "read": read.run_ms,
            **embedded.phases_ms,
            "decode": decode_ms,
        }
        done = await self._pool.run(
            lambda: self._finish(click, volume, planned, decoded, phases, render)
        )
        record, pasted, rendered, store_ms = done.value
        phases = {**record.timings_ms, "store": store_ms}
        phases["queue"] += done.queue_ms
        timings = Timings(phases, "hit" if embedded.hit else "miss")
        return Segmented(record, volume, pasted, timings, rendered)

    async def close(self) -> None:
        """Free the writers."""
        await asyncio.to_thread(self._writers.shutdown)

    def _prepare(self, click: Click) -> tuple[VolumeRecord, Plan]:
        volume = self._store.volumes.get(click.principal, click.volume_id)
        parent = None if click.parent is None else self._parent(click, click.parent)
        self._check_choice(click.choice, parent)
        boxes = self._engine.bundle.manifest.model.boxes
        return volume, plan(volume, parent, click.prompt, self._rule, boxes=boxes)

    def _parent(self, click: Click, name: str) -> Parent:
        kept = self._store.segmentations
        try:
            return Parent(*kept.with_logits(click.principal, name, click.volume_id))
        except NotFound:
            kept.get(click.principal, name)
            raise Conflict(
                "The parent is a segmentation of another volume.", pointer="/parent"
            ) from None

    def _check_choice(self, choice: Choice, parent: Parent | None) -> None:
        try:
            check_choice(choice, self._engine.bundle.manifest)
        except ExpertUnknown:
            if parent is None or choice.expert not in parent.record.experts:
                raise
            raise ExpertGone(
                f"The expert {choice.expert} was there for the parent and is gone from the bundle"
                " since: go on with auto, general or another expert.",
                pointer="/expert",
            ) from None

    def _finish(
        self,
        click: Click,
        volume: VolumeRecord,
        planned: Plan,
        decoded: Decoded,
        phases: dict[str, float],
        render: Render | None,
    ) -> tuple[SegmentationRecord, Pasted, bytes | None, float]:
        started = time.perf_counter()
        bundle, route = self._engine.bundle, decoded.route
        candidates = {name: rounded(block) for name, block in decoded.candidates.items()}
        logits = answer(candidates, route)
        pasted = paste(logits, planned.window, volume.geometry)
        pasted_at = time.perf_counter()
        record = SegmentationRecord(
            id=self._store.new_id(volume.id),
            owner=click.principal,
            created=now(),
            volume_id=volume.id,
            parent=click.parent,
            prompt=planned.prompt,
            windows=(
                WindowRecord(
                    window=planned.window,
                    candidates=tuple(candidates),
                    cells=len(logits),
                ),
            ),
            route=RouteRecord.model_validate(route),
            choice=ChoiceRecord.model_validate(click.choice),
            bundle_digest=bundle.digest,
            timings_ms={**phases, "paste": 1000 * (pasted_at - started)},
            voxel_count=int(np.count_nonzero(pasted.mask)),
            warnings=doubts(
                volume, planned.prompt, planned.window, pasted, route, bundle, planned.parent_bundle
            ),
        )
        written = self._writers.submit(self._store.segmentations.put, record, [candidates])
        try:
            rendered = None if render is None else render(pasted, volume.geometry)
        finally:
            wait([written])
        written.result()
        return record, pasted, rendered, 1000 * (time.perf_counter() - pasted_at)
