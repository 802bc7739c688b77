"""From a stored segmentation to what its refinement starts from."""

from sammoe.segmentation.planning import Parent, answer_name
from sammoe.store import Fields, SegmentationRecord
from sammoe.volume.field import Field


def answered(record: SegmentationRecord, fields: Fields) -> Field:
    """The field that was the answer."""
    return fields[answer_name(fields, record.route)]


def parent_of(record: SegmentationRecord, fields: Fields) -> Parent:
    """What a refinement of a segmentation starts from."""
    window, field = record.windows[0].window, answered(record, fields)
    return Parent(record.prompt, window, field, record.bundle_digest, frozenset(record.experts))
