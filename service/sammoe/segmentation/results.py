"""Results: named structures of one volume, and what their files are made of."""

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeVar

from sammoe.bundle import Bundle, Manifest
from sammoe.engine import AUTO, GENERAL, WorkerPool
from sammoe.errors import CandidateMissing, Conflict, NoDicomSource, NotFound, TooLarge
from sammoe.segmentation.parents import ANSWER, Candidate, field_of
from sammoe.store import (
    GIVEN,
    CodeRecord,
    EntryRecord,
    Page,
    ResultRecord,
    SegmentationRecord,
    Store,
    VolumeRecord,
    now,
)
from sammoe.volume.dicom.instances import Identity, derived_uid
from sammoe.volume.dicom.rtstruct import write_rtstruct
from sammoe.volume.dicom.seg import write_seg
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import Pasted
from sammoe.volume.structures import (
    ANATOMICAL_STRUCTURE,
    TISSUE,
    Algorithm,
    Code,
    Colour,
    Merge,
    Structure,
    merged,
)

MAX_ENTRIES: Final = 255
"""Entries of one result: so many numbers a label map of bytes has."""

_MOST_VOLUMES: Final = 4
"""What the boxes around a result's masks may take, in volumes: all are in memory at once."""

_COLOURS: Final[tuple[Colour, ...]] = (
    (230, 85, 80),
    (70, 150, 230),
    (95, 190, 85),
    (240, 180, 50),
    (160, 105, 215),
    (60, 195, 195),
    (240, 125, 185),
    (170, 130, 90),
    (190, 215, 70),
    (110, 120, 250),
)
"""For entries without a colour, by their place; then again from the first."""

DicomForm = Literal["seg", "labelmap", "rtstruct"]
"""DICOM SEG with a bit a voxel and structure, or a number a voxel; outlines as RT Structure Set."""

_WRITE: Final[
    dict[DicomForm, Callable[[Sequence[Structure], Geometry, DicomSource, Identity], bytes]]
] = {
    "seg": partial(write_seg, form="BINARY"),
    "labelmap": partial(write_seg, form="LABELMAP"),
    "rtstruct": write_rtstruct,
}

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """What a principal says about one structure of a result; None: by the segmentation.

    ``segmentation``: an id; ``candidate``: which of its masks; the rest as in `Structure`.
    """

    segmentation: str
    label: str
    code: Code | None = None
    category: Code | None = None
    colour: Colour | None = None
    candidate: Candidate = ANSWER


@dataclass(frozen=True, eq=False)
class Composed:
    """A result with the masks of its structures, merged as it says."""

    record: ResultRecord
    volume: VolumeRecord
    structures: tuple[Structure, ...]


@dataclass(frozen=True, repr=False)
class DicomFile:
    """A DICOM file; ``study``, ``series`` and ``instance`` are its UIDs."""

    study: str
    series: str
    instance: str
    content: bytes


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
        self._bundle = bundle
        self._mask = mask
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
            made = self._entries(principal, kept.volume_id, entries, kept.entries)
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
            lambda: self._written(self._store.results.get(principal, name), form)
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
        ran = await self._scans.run(lambda: self._written(self._alone(principal, entry), "seg"))
        return ran.value

    async def render(self, principal: str, name: str, render: Callable[[Composed], T]) -> T:
        """Make something of a result, in a worker for long work.

        Raises
        ------
        Conflict
            A segmentation of it was deleted.
        """
        ran = await self._scans.run(
            lambda: render(self._compose(self._store.results.get(principal, name)))
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
            entries=self._entries(principal, volume.id, entries, ()),
        )
        return self._store.results.add(record, promised=name is not None)

    def _entries(
        self,
        principal: str,
        volume_id: str,
        entries: Sequence[Entry],
        earlier: Sequence[EntryRecord],
    ) -> tuple[EntryRecord, ...]:
        left = list(earlier)
        made = []
        for place, entry in enumerate(entries):
            segmentation = self._segmentation(principal, volume_id, entry, place)
            same = next((kept for kept in left if kept.label == entry.label), None)
            if same is not None:
                left.remove(same)
            decoder = _decoder(segmentation, entry.candidate)
            code, category = _codes(entry, decoder, self._bundle().manifest)
            made.append(
                EntryRecord(
                    segmentation=segmentation.id,
                    candidate=entry.candidate,
                    label=entry.label,
                    code=CodeRecord.model_validate(code),
                    category=CodeRecord.model_validate(category),
                    colour=entry.colour or _COLOURS[place % len(_COLOURS)],
                    tracking_uid=f"2.25.{uuid.uuid4().int}" if same is None else same.tracking_uid,
                )
            )
        return tuple(made)

    def _segmentation(
        self, principal: str, volume_id: str, entry: Entry, place: int
    ) -> SegmentationRecord:
        pointer = f"/entries/{place}/segmentation"
        try:
            record, fields = self._store.segmentations.with_fields(principal, entry.segmentation)
        except NotFound as error:
            raise NotFound(error.detail, pointer=pointer) from None
        if record.volume_id != volume_id:
            raise Conflict("This is a segmentation of another volume.", pointer=pointer)
        try:
            field_of(record, fields, entry.candidate)
        except CandidateMissing as error:
            raise CandidateMissing(error.detail, pointer=f"/entries/{place}/candidate") from None
        return record

    def _alone(self, principal: str, entry: Entry) -> ResultRecord:
        """A result of one entry, named by its segmentation; every time the same."""
        segmentation = self._store.segmentations.get(principal, entry.segmentation)
        (made,) = self._entries(principal, segmentation.volume_id, (entry,), ())
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

    def _compose(self, record: ResultRecord) -> Composed:
        volume = self._store.volumes.get(record.owner, record.volume_id)
        drawn, left = [], _MOST_VOLUMES * math.prod(volume.shape)
        for place in range(len(record.entries)):
            drawn.append(self._drawn(record, place))
            left -= drawn[-1][0].mask.size
            if left < 0:
                raise TooLarge(
                    f"The masks' boxes are together larger than {_MOST_VOLUMES} times the volume:"
                    " split the result."
                )
        masks = merged([mask for mask, _ in drawn], volume.shape, record.merge)
        structures = (
            Structure(
                label=entry.label,
                code=_code(entry.code),
                category=_code(entry.category),
                colour=entry.colour,
                tracking_uid=entry.tracking_uid,
                algorithm=algorithm,
                pasted=mask,
            )
            for entry, mask, (_, algorithm) in zip(record.entries, masks, drawn, strict=True)
        )
        return Composed(record, volume, tuple(structures))

    def _written(self, record: ResultRecord, form: DicomForm) -> DicomFile:
        volume = self._store.volumes.get(record.owner, record.volume_id)
        if volume.source is None:
            raise NoDicomSource(
                "This volume did not come from a DICOM series, so there are no images that a DICOM"
                " file could refer to, and no patient: fetch NIfTI or NRRD."
            )
        source = self._store.volumes.source(volume)
        composed = self._compose(record)
        identity = Identity(
            series=f"{record.id} {form}",
            content=record.model_dump_json(),
            revision=record.revision,
            begun=record.created,
            changed=record.changed,
        )
        content = _WRITE[form](composed.structures, volume.geometry, source, identity)
        return DicomFile(source.study, identity.series_uid, identity.sop_uid, content)

    def _drawn(self, record: ResultRecord, place: int) -> tuple[Pasted, Algorithm | None]:
        entry = record.entries[place]
        try:
            found = self._store.segmentations.get(record.owner, entry.segmentation)
            mask, _ = self._mask(record.owner, entry.segmentation, entry.candidate)
        except NotFound:
            raise Conflict(
                f"The segmentation of structure {place + 1} was deleted: change the result.",
                pointer=f"/entries/{place}/segmentation",
            ) from None
        if found.route.used == GIVEN:
            return mask, None
        return mask, Algorithm(_decoder(found, entry.candidate), found.bundle_digest)


def _decoder(segmentation: SegmentationRecord, candidate: Candidate) -> str:
    """Whose mask a candidate is: ``general``, or an expert's name.

    ``expert`` where the gate was asked for it after the click, for that is not written down.
    """
    if candidate == ANSWER:
        return segmentation.route.used
    if candidate == GENERAL:
        return GENERAL
    named = segmentation.choice.expert
    expert = segmentation.route.top if named in {AUTO, GENERAL} else named
    return candidate if expert is None else expert


def _codes(entry: Entry, decoder: str, manifest: Manifest) -> tuple[Code, Code]:
    """What a structure is, and what kind of thing: as said, else as the expert's manifest says."""
    code = entry.code
    if code is None:
        found = (expert for expert in manifest.experts if expert.name == decoder)
        codes = next((expert.codes for expert in found), ())
        code = Code(codes[0].value, codes[0].meaning, codes[0].scheme) if codes else TISSUE
    default = TISSUE if code == TISSUE else ANATOMICAL_STRUCTURE
    return code, entry.category or default


def _code(record: CodeRecord) -> Code:
    return Code(record.value, record.meaning, record.scheme)
