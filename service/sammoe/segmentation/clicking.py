"""The way of a click, from prompt to mask; the path that has to be fast.

One hop to a worker reads the records and plans, one decodes (the engine's), one looks whether the
mask goes on, one pastes, and while it renders, another thread writes the record.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from sammoe.engine import Choice, Engine, WorkerPool, check_choice
from sammoe.errors import Conflict, ExpertGone, ExpertUnknown, NotFound
from sammoe.segmentation.answers import Segmented, Timings
from sammoe.segmentation.doubts import doubts
from sammoe.segmentation.embedding import Embedder
from sammoe.segmentation.growing import Grower, candidates, ends_of
from sammoe.segmentation.grown import Extent, Grown, Progress, Request
from sammoe.segmentation.parents import ANSWER, field_of, parent_of
from sammoe.segmentation.planning import Parent, Plan, check_form
from sammoe.segmentation.prompt import Prompt, merge
from sammoe.segmentation.rivals import rival_of
from sammoe.segmentation.wandering import zoomed
from sammoe.store import (
    ChoiceRecord,
    ExtentRecord,
    RouteRecord,
    SegmentationRecord,
    Store,
    WindowRecord,
    now,
)
from sammoe.telemetry import span
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import Pasted
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
    extent: Extent = field(default_factory=Extent)
    refined: str = ANSWER
    name: str | None = None


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
        self._rule = rule
        self._pool = pool
        self.grower = Grower(engine, embedder, rule, pool)
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="sammoe-write")

    async def click(
        self, click: Click, render: Render | None, progress: Progress | None = None
    ) -> Segmented:
        """Plan, embed, decode, follow, paste, and keep the record."""
        with span("read"):
            read = await self._pool.run(lambda: self._prepare(click))
        request, plans = read.value
        started = time.perf_counter()
        grown = await self.grower.grow(request, plans, progress)
        first = grown.looked[0]
        phases = {"queue": 0.0, "read": read.run_ms, **first.phases_ms}
        followed_ms = 1000 * (time.perf_counter() - started) - sum(first.phases_ms.values())
        phases["queue"] += read.queue_ms
        if len(grown.looked) > 1:
            phases["follow"] = followed_ms
        done = await self._pool.run(lambda: self._finish(click, request, grown, phases, render))
        record, pasted, rendered, store_ms = done.value
        phases = {**record.timings_ms, "store": store_ms}
        phases["queue"] += done.queue_ms
        timings = Timings(phases, "miss" if grown.encodes else "hit")
        return Segmented(record, request.volume, pasted, timings, rendered)

    async def close(self) -> None:
        """Free the writers."""
        await asyncio.to_thread(self._writers.shutdown)

    def _prepare(self, click: Click) -> tuple[Request, list[Plan]]:
        volume = self._store.volumes.get(click.principal, click.volume_id)
        parent = None if click.parent is None else self._parent(click, click.parent)
        self._check_choice(click.choice, parent)
        if parent is not None:
            check_form(parent, self._rule)
            parent = zoomed(volume, parent, click.extent.spacing, self._rule)
        new = click.prompt.to_index(volume.geometry)
        prompt = merge(parent.prompt if parent else None, new)
        request = Request(volume, new, prompt, parent, click.choice, click.extent)
        return request, self.grower.begin(request)

    def _parent(self, click: Click, name: str) -> Parent:
        kept = self._store.segmentations
        try:
            record, fields = kept.with_fields(click.principal, name, click.volume_id)
        except NotFound:
            kept.get(click.principal, name)
            raise Conflict(
                "The parent is a segmentation of another volume.", pointer="/parent"
            ) from None
        return parent_of(record, fields, click.refined)

    def _check_choice(self, choice: Choice, parent: Parent | None) -> None:
        try:
            check_choice(choice, self._engine.bundle.manifest)
        except ExpertUnknown:
            if parent is None or choice.expert not in parent.experts:
                raise
            raise ExpertGone(
                f"The expert {choice.expert} was there for the parent and is gone from the bundle"
                " since: go on with auto, general or another expert.",
                pointer="/expert",
            ) from None

    def _finish(
        self,
        click: Click,
        request: Request,
        grown: Grown,
        phases: dict[str, float],
        render: Render | None,
    ) -> tuple[SegmentationRecord, Pasted, bytes | None, float]:
        started = time.perf_counter()
        volume, bundle, route = request.volume, self._engine.bundle, grown.route
        with span("paste"):
            pasted = grown.field.paste(volume.geometry)
        pasted_at = time.perf_counter()
        ends = ends_of(request, grown, pasted)
        record = SegmentationRecord(
            id=click.name or self._store.new_id(volume.id),
            owner=click.principal,
            created=now(),
            volume_id=volume.id,
            parent=click.parent,
            prompt=request.prompt,
            windows=tuple(
                WindowRecord(
                    window=one.window,
                    candidates=tuple(one.candidates),
                    cells=self._rule.cells,
                    kept=one.kept,
                )
                for one in grown.looked
            ),
            encodes=grown.encodes,
            seeds=grown.seeds,
            refined=click.refined,
            extent=ExtentRecord.model_validate(click.extent),
            route=RouteRecord.model_validate(route).model_copy(
                update={"rival": rival_of(route, bundle.manifest, volume.modality)}
            ),
            choice=ChoiceRecord.model_validate(click.choice),
            bundle_digest=bundle.digest,
            timings_ms={**phases, "paste": 1000 * (pasted_at - started)},
            voxel_count=pasted.voxels,
            warnings=doubts(
                volume,
                request.prompt,
                ends,
                pasted,
                route,
                bundle,
                request.parent.bundle if request.parent else None,
            ),
        )
        fields = candidates(self.grower, request, grown)
        with span("store"):
            put, promised = self._store.segmentations.put, click.name is not None
            written = self._writers.submit(put, record, fields, promised=promised)
            try:
                rendered = None if render is None else render(pasted, volume.geometry)
            finally:
                wait([written])
        kept = written.result()
        if kept.created != record.created:
            # Promised before, and made: another bundle may have answered then.
            _, fields = self._store.segmentations.with_fields(kept.owner, kept.id, volume.id)
            pasted = field_of(kept, fields, ANSWER).paste(volume.geometry)
            rendered = None if render is None else render(pasted, volume.geometry)
        return kept, pasted, rendered, 1000 * (time.perf_counter() - pasted_at)
