"""Results: named structures of one volume."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from sammoe.bundle import Bundle
from sammoe.engine import WorkerPool
from sammoe.errors import Conflict
from sammoe.segmentation.composing import Composed, Composer, DicomFile, DicomForm
from sammoe.segmentation.entries import Entries, Entry
from sammoe.segmentation.parents import Candidate
from sammoe.store import Page, ResultRecord, SegmentationRecord, Store, VolumeRecord, now
from sammoe.volume.dicom.instances import derived_uid
from sammoe.volume.paste import Pasted
from sammoe.volume.structures import Merge

MAX_ENTRIES: Final = 255
"""Entries of one result: so many numbers a label map of bytes has."""

T = TypeVar("T")


class Results:
    """What a principal can do with results; errors as in `Workspace`.

    Parameters
    ----------
    bundle
        Gives the bundle that answers now.
    mask
        Gives a mask of a principal's segmentation, by its id and candidate, with its volume.
    clicks, scans
        Workers for records, and for masks of many structures.
    """

    def __init__(
        self,
        store: Store,
        bundle: Callable[[], Bundle],
        mask: Callable[[str, str, Candidate], tuple[Pasted, VolumeRecord]],
        clicks: WorkerPool,
        scans: WorkerPool,
    ) -> None:
        self._store = store
        self._entries = Entries(store, bundle)
        self._composer = Composer(store, mask)
        self._clicks = clicks
        self._scans = scans

    async def create(
        self,
        principal: str,
        volume_id: str,
        entries: Sequence[Entry],
        merge: Merge,
        name: str | None = None,
    ) -> ResultRecord:
        """Keep a new result, unless the one of the id ``name`` is there already.

        Raises
        ------
        NotFound
            There is no such volume or segmentation.
        CandidateMissing
            A candidate was never asked for, or can not be made.
        Conflict
            A segmentation belongs to another volume.
        """
        return await self._short(lambda: self._create(principal, volume_id, entries, merge, name))

    async def replace(
        self, principal: str, name: str, entries: Sequence[Entry], merge: Merge
    ) -> ResultRecord:
        """Give a result other entries; what is the same already stays as it is. Raises as `create`.

        An entry with the label of an earlier one is the same structure, corrected: it keeps its
        tracking UID.
        """

        def change(kept: ResultRecord) -> ResultRecord:
            made = self._entries.make(principal, kept.volume_id, entries, kept.entries)
            if (made, merge) == (kept.entries, kept.merge):
                return kept
            fields = {
                "entries": made,
                "merge": merge,
                "changed": now(),
                "revision": kept.revision + 1,
            }
            return kept.model_copy(update=fields)

        return await self._short(lambda: self._store.results.change(principal, name, change))

    async def get(self, principal: str, name: str) -> ResultRecord:
        """Return a result."""
        return await self._short(lambda: self._store.results.get(principal, name))

    async def list(
        self, principal: str, volume_id: str, cursor: str | None = None, limit: int = 50
    ) -> Page[ResultRecord]:
        """List a volume's results, newest first."""
        return await self._short(
            lambda: self._store.results.page(principal, volume_id, cursor, limit)
        )

    async def delete(self, principal: str, name: str) -> None:
        """Delete a result; its segmentations stay."""
        await self._short(lambda: self._store.results.delete(principal, name))

    async def dicom(self, principal: str, name: str, form: DicomForm) -> DicomFile:
        """Return a result as a DICOM file; the same bytes until the result changes.

        Raises
        ------
        NoDicomSource
            The volume did not come from a DICOM series that others can refer to.
        StructureEmpty, StructuresOverlap, TooLarge
            See `write_seg` and `write_rtstruct`.
        Conflict
            A segmentation of it was deleted.
        """
        ran = await self._scans.run(
            lambda: self._composer.written(self._store.results.get(principal, name), form)
        )
        return ran.value

    async def seg(self, principal: str, entry: Entry) -> DicomFile:
        """Return one structure as DICOM SEG, of which no result is kept; the same bytes each time.

        Raises
        ------
        NotFound
            There is no such segmentation.
        NoDicomSource, StructureEmpty
            See `dicom`.
        """
        ran = await self._scans.run(
            lambda: self._composer.written(self._alone(principal, entry), "seg")
        )
        return ran.value

    async def render(self, principal: str, name: str, render: Callable[[Composed], T]) -> T:
        """Make something of a result, in a worker for long work.

        Raises
        ------
        Conflict
            A segmentation of it was deleted.
        """
        ran = await self._scans.run(
            lambda: render(self._composer.compose(self._store.results.get(principal, name)))
        )
        return ran.value

    def check_unused(self, segmentation: SegmentationRecord) -> None:
        """Raise `Conflict` if a segmentation is an entry of a result."""
        holder = self._store.results.holding(
            segmentation.owner, segmentation.volume_id, segmentation.id
        )
        if holder is not None:
            raise Conflict(
                f"The result {holder.id} holds this segmentation: delete or change that first."
            )

    async def _short(self, call: Callable[[], T]) -> T:
        return (await self._clicks.run(call)).value

    def _create(
        self,
        principal: str,
        volume_id: str,
        entries: Sequence[Entry],
        merge: Merge,
        name: str | None,
    ) -> ResultRecord:
        volume = self._store.volumes.get(principal, volume_id)
        created = now()
        record = ResultRecord(
            id=name or self._store.new_id(volume.id),
            owner=principal,
            created=created,
            volume_id=volume.id,
            changed=created,
            revision=1,
            merge=merge,
            entries=self._entries.make(principal, volume.id, entries, ()),
        )
        return self._store.results.add(record, promised=name is not None)

    def _alone(self, principal: str, entry: Entry) -> ResultRecord:
        """A result of one entry, named by its segmentation; every time the same."""
        segmentation = self._store.segmentations.get(principal, entry.segmentation)
        (made,) = self._entries.make(principal, segmentation.volume_id, (entry,), ())
        tracking = derived_uid(f"structure {segmentation.id} {entry.label}")
        return ResultRecord(
            id=segmentation.id,
            owner=principal,
            created=segmentation.created,
            volume_id=segmentation.volume_id,
            changed=segmentation.created,
            revision=1,
            merge="overlap",
            entries=(made.model_copy(update={"tracking_uid": tracking}),),
        )
