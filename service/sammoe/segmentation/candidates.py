"""Masks of a segmentation that its click did not compute: made when first asked for, and kept.

A candidate is what its decoder alone would have answered to the same request: the same prompts and
parent, beginning in the same windows, following its own mask. It takes the bundle that answered.
"""

from dataclasses import replace
from typing import Final

from sammoe.engine import AUTO, GENERAL, Choice, Engine, WorkerPool
from sammoe.errors import CandidateGone, CandidateMissing, NotFound
from sammoe.segmentation.growing import Grower
from sammoe.segmentation.grown import Extent, Request
from sammoe.segmentation.parents import ANSWER, RIVAL, Candidate, parent_of
from sammoe.segmentation.planning import Parent, Plan, answer_name
from sammoe.segmentation.wandering import zoomed
from sammoe.store import GIVEN, PromptRecord, SegmentationRecord, Store, VolumeRecord
from sammoe.volume.field import Field

_ASK: Final = Choice(AUTO, tau=0.0)
"""The gate was not asked about the prompt; so it is now."""


class CandidateMaker:
    """Computes candidates; see the module.

    Parameters
    ----------
    pool
        Where records are read and written.
    """

    def __init__(self, engine: Engine, store: Store, grower: Grower, pool: WorkerPool) -> None:
        self._engine = engine
        self._rule = engine.bundle.manifest.window_rule()
        self._store = store
        self._grower = grower
        self._pool = pool

    async def make(self, principal: str, name: str, candidate: Candidate) -> Field:
        """Return a segmentation's candidate, computed and kept if it was not there.

        Raises
        ------
        CandidateMissing
            There is no expert for it, or somebody brought the mask.
        CandidateGone
            The bundle that answered is served no more, or what was refined was deleted.
        EngineError
            See `Engine.encode` and `Engine.decode`.
        """
        prepared = (await self._pool.run(lambda: self._prepare(principal, name, candidate))).value
        if isinstance(prepared, Field):
            return prepared
        request, plans = prepared
        if request.choice == _ASK:
            route = await self._grower.route(request, plans[0])
            if route.top is None:
                raise CandidateMissing("The bundle has no expert for this scan.")
            request = replace(request, choice=Choice(route.top))
        grown = await self._grower.grow(request, plans)
        kept = self._store.segmentations
        await self._pool.run(lambda: kept.add(principal, name, candidate, grown.field))
        return grown.field

    def _prepare(
        self, principal: str, name: str, candidate: Candidate
    ) -> Field | tuple[Request, list[Plan]]:
        """The candidate if it is there, else how to make it."""
        record, fields = self._store.segmentations.with_fields(principal, name)
        kept = answer_name(fields, record.route) if candidate == ANSWER else candidate
        if kept in fields:
            return fields[kept]
        choice = _choice(record, candidate)
        if record.bundle_digest != self._engine.bundle.digest:
            raise CandidateGone(
                "This mask was not computed with the click, and the bundle that answered is served"
                " no more: click again."
            )
        volume = self._store.volumes.get(principal, record.volume_id)
        parent = self._parent(record, volume)
        request = Request(
            volume, _new(record, parent), record.prompt, parent, choice, _extent(record)
        )
        windows = [one.window for one in record.windows[: record.seeds]]
        return request, self._grower.begin(request, windows)

    def _parent(self, record: SegmentationRecord, volume: VolumeRecord) -> Parent | None:
        if record.parent is None:
            return None
        kept = self._store.segmentations
        try:
            before, fields = kept.with_fields(record.owner, record.parent, record.volume_id)
        except NotFound:
            raise CandidateGone(
                "This mask was not computed with the click, and what that refined was deleted:"
                " click again."
            ) from None
        parent = parent_of(before, fields, record.refined)
        spacing = None if record.extent is None else record.extent.spacing
        return zoomed(volume, parent, spacing, self._rule)


def _choice(record: SegmentationRecord, candidate: Candidate) -> Choice:
    """Which decoder makes the candidate."""
    if record.route.used == GIVEN:
        raise CandidateMissing("Somebody brought this mask: there is no other.")
    if candidate == GENERAL:
        return Choice(GENERAL)
    if candidate == RIVAL:
        if record.route.rival is None:
            raise CandidateMissing(
                "The route names no second expert: click with the expert auto, on a scan that two"
                " experts are for."
            )
        return Choice(record.route.rival)
    named = record.choice.expert
    expert = record.route.top if named in {AUTO, GENERAL} else named
    return _ASK if expert is None else Choice(expert)


def _new(record: SegmentationRecord, parent: Parent | None) -> PromptRecord:
    """What the request brought, as far as it matters: its box."""
    box = record.prompt.box
    return PromptRecord(box=None if parent is not None and parent.prompt.box == box else box)


def _extent(record: SegmentationRecord) -> Extent:
    """How far the request might go; those of version 1 had one window."""
    if record.extent is None:
        return Extent(max_windows=1, extend=False)
    return Extent(**record.extent.model_dump())
