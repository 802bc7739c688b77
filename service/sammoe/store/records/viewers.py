"""Records of viewers that are connected."""

from datetime import datetime

from sammoe.store.records.base import Closed, Record
from sammoe.store.records.segmentations import PromptRecord


class DrawnRecord(Closed):
    """What a viewer has drawn of one structure.

    Attributes
    ----------
    segmentation
        The last answer, or a mask that the viewer brought.
    prompt
        What is not answered yet.
    brought
        First and last voxel of a mask that was brought: within them the viewer's mask is its own,
        not quite that of the segmentation made of it.
    """

    segmentation: str | None = None
    prompt: PromptRecord = PromptRecord()
    brought: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None


class LeaseRecord(Record):
    """A viewer that is connected, by a protocol that keeps its state at the server.

    Attributes
    ----------
    token_digest
        SHA-256 (hex) of the secret that the viewer shows.
    used, seen
        When a person last did something, and when the viewer last gave a sign of life (UTC).
    volume_id
        The scan that the viewer has sent, which is deleted with the lease.
    drawn, before
        The structure of now, and what it was before the last prompt; None where there is nothing
        to undo.
    """

    id: str
    token_digest: str
    used: datetime
    seen: datetime
    volume_id: str | None = None
    drawn: DrawnRecord = DrawnRecord()
    before: DrawnRecord | None = None
