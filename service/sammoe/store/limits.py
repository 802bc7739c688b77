"""How long records are kept, and how many bytes of them."""

import time
from dataclasses import dataclass, field

from sammoe.store.ids import earliest

DAY_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Keeping:
    """Of one kind of record.

    Attributes
    ----------
    seconds
        From its making; a record that is older counts as deleted. None: for ever.
    quota_bytes
        Of one principal's together. None: no limit.
    """

    seconds: float | None = None
    quota_bytes: int | None = None

    def is_over(self, name: str, moment: float | None = None) -> bool:
        """Whether a record's time is over, by its id; ``moment``: s since 1970, None is now."""
        if self.seconds is None:
            return False
        return name < earliest((time.time() if moment is None else moment) - self.seconds)


@dataclass(frozen=True)
class StoreLimits:
    """Of all kinds: volumes (with their voxels), segmentations, and answers kept for a key."""

    volumes: Keeping = field(default_factory=Keeping)
    segmentations: Keeping = field(default_factory=Keeping)
    responses: Keeping = field(default_factory=lambda: Keeping(seconds=DAY_SECONDS))
