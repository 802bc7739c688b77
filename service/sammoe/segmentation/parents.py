"""From a stored segmentation to what its refinement starts from."""

from typing import Final, Literal

from sammoe.errors import CandidateMissing
from sammoe.segmentation.planning import Parent, answer_name
from sammoe.store import Fields, SegmentationRecord
from sammoe.volume.field import Field

Candidate = Literal["fused", "general", "expert", "rival"]
"""A segmentation's masks; ``fused`` is the answer, whatever it was made of."""

ANSWER: Final[Candidate] = "fused"
RIVAL: Final[Candidate] = "rival"


def field_of(record: SegmentationRecord, fields: Fields, candidate: str = ANSWER) -> Field:
    """One of a segmentation's masks.

    Raises
    ------
    CandidateMissing
        It was not computed.
    """
    name = answer_name(fields, record.route) if candidate == ANSWER else candidate
    if name not in fields:
        made = ", ".join(fields)
        raise CandidateMissing(f"This segmentation did not compute that mask, but: {made}.")
    return fields[name]


def parent_of(record: SegmentationRecord, fields: Fields, candidate: str = ANSWER) -> Parent:
    """What a refinement of a segmentation, or of another of its masks, starts from."""
    answers = candidate in {ANSWER, answer_name(fields, record.route)}
    return Parent(
        prompt=record.prompt,
        window=record.windows[0].window,
        field=field_of(record, fields, candidate),
        bundle=record.bundle_digest,
        experts=frozenset(record.experts),
        scores=tuple(record.route.scores.values()) if answers else (),
    )
