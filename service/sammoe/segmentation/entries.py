"""Entries of results: from what a principal says about a structure to what is kept of it."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sammoe.bundle import Bundle, Manifest
from sammoe.engine import AUTO, GENERAL
from sammoe.errors import CandidateMissing, Conflict, NotFound
from sammoe.segmentation.parents import ANSWER, RIVAL, Candidate, field_of
from sammoe.store import CodeRecord, EntryRecord, SegmentationRecord, Store
from sammoe.volume.structures import ANATOMICAL_STRUCTURE, TISSUE, Code, Colour

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


class Entries:
    """Makes entries of segmentations that are there, by the bundle that answers now."""

    def __init__(self, store: Store, bundle: Callable[[], Bundle]) -> None:
        self._store = store
        self._bundle = bundle

    def make(
        self,
        principal: str,
        volume_id: str,
        entries: Sequence[Entry],
        earlier: Sequence[EntryRecord],
    ) -> tuple[EntryRecord, ...]:
        """Make the entries of a result on a volume. Blocks.

        Parameters
        ----------
        earlier
            What the result had: an entry with the label of one of them keeps its tracking UID.

        Raises
        ------
        NotFound, CandidateMissing, Conflict
            See `Results.create`.
        """
        left = list(earlier)
        made = []
        for place, entry in enumerate(entries):
            segmentation = self._segmentation(principal, volume_id, entry, place)
            same = next((kept for kept in left if kept.label == entry.label), None)
            if same is not None:
                left.remove(same)
            decoder = decoder_of(segmentation, entry.candidate)
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


def decoder_of(segmentation: SegmentationRecord, candidate: Candidate) -> str:
    """Whose mask a candidate is: ``general``, or an expert's name.

    ``expert`` where the gate was asked for it after the click, for that is not written down.
    """
    if candidate == ANSWER:
        return segmentation.route.used
    if candidate == GENERAL:
        return GENERAL
    if candidate == RIVAL:
        return segmentation.route.rival or RIVAL
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
