"""Records of named structures."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict
from pydantic import Field as Member

from sammoe.store.records.base import Closed, Record
from sammoe.volume.structures import Merge


class CodeRecord(Closed):
    """A coded concept; the fields of `sammoe.volume.structures.Code`."""

    model_config = ConfigDict(from_attributes=True)

    value: str
    meaning: str
    scheme: str


class EntryRecord(Closed):
    """One structure of a result; ``segmentation`` is an id, the rest as in `Structure`.

    Attributes
    ----------
    candidate
        Which of the segmentation's masks it is. The answer is not written down, so that records of
        before, and the UIDs that are made of them, stay as they are.
    """

    segmentation: str
    candidate: Literal["fused", "general", "expert", "rival"] = Member(
        default="fused", exclude_if=lambda candidate: candidate == "fused"
    )
    label: str
    code: CodeRecord
    category: CodeRecord
    colour: tuple[int, int, int]
    tracking_uid: str


class ResultRecord(Record):
    """Named structures of one volume, in order.

    Attributes
    ----------
    changed
        When it was last changed, UTC.
    revision
        1 when new, one more with every change.
    merge
        Whose a voxel is that several entries claim.
    """

    id: str
    volume_id: str
    changed: datetime
    revision: int
    merge: Merge
    entries: tuple[EntryRecord, ...]
