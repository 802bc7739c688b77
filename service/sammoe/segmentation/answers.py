"""What the use cases return."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sammoe.store import SegmentationRecord, VolumeRecord
from sammoe.volume.paste import Pasted


@dataclass(frozen=True)
class Timings:
    """Where the time of a segmentation went.

    Attributes
    ----------
    phases_ms
        In order, milliseconds: ``queue`` (waits for workers, all together), ``read`` (records,
        checks of the prompt), on a miss ``crop`` and ``encode`` (with its own wait), on a hit
        outside of this process ``fetch``, ``decode``, ``paste`` (to the volume's grid), ``store``
        (writing the record, and at the same time rendering).
    cache
        Whether the embedding was there.
    """

    phases_ms: Mapping[str, float]
    cache: Literal["hit", "miss"]


@dataclass(frozen=True, eq=False)
class Segmented:
    """A new segmentation, already on the disk, with its mask.

    ``rendered``: what the caller's ``render`` made of the mask; None without one.
    """

    record: SegmentationRecord
    volume: VolumeRecord
    pasted: Pasted
    timings: Timings
    rendered: bytes | None
