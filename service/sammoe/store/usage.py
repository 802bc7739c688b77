"""How many bytes each principal has in the store, for quotas; nothing is counted without one."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from sammoe.errors import QuotaExceeded
from sammoe.store.files import Files
from sammoe.store.folders import owner_folder
from sammoe.store.limits import Keeping, StoreLimits

Kind = Literal["volumes", "segmentations", "responses"]

RECOUNT_SECONDS: Final = 300.0


@dataclass
class _Count:
    counted: float
    sizes: Counter[str] = field(default_factory=Counter)


class Usage:
    """Bytes by principal and kind: counted once, then carried on, and counted again at times.

    What this process adds counts at once; what others add or delete, within `RECOUNT_SECONDS`. For
    any thread.

    Parameters
    ----------
    clock
        Seconds, never going back.
    """

    def __init__(
        self, files: Files, limits: StoreLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._files = files
        self._keeping: dict[Kind, Keeping] = {
            "volumes": limits.volumes,
            "segmentations": limits.segmentations,
            "responses": limits.responses,
        }
        self._clock = clock
        self._counts: dict[str, _Count] = {}
        self._lock = threading.Lock()

    def take(self, principal: str, kind: Kind, size: int) -> None:
        """Count ``size`` bytes more, which are about to be written.

        Raises
        ------
        QuotaExceeded
            There is no room for them; nothing is counted.
        """
        quota = self._keeping[kind].quota_bytes
        if quota is None:
            return
        with self._lock:
            count = self._counts.get(principal)
        if count is None or self._clock() - count.counted > RECOUNT_SECONDS:
            count = self._count(principal)
        with self._lock:
            if count.sizes[kind] + size > quota:
                raise QuotaExceeded(
                    f"Your {kind} may take {quota} bytes together, and have {count.sizes[kind]}:"
                    " delete what is not needed."
                )
            count.sizes[kind] += size
            self._counts[principal] = count

    def forget(self, principal: str) -> None:
        """Count again when asked next: something was deleted."""
        with self._lock:
            self._counts.pop(principal, None)

    def _count(self, principal: str) -> _Count:
        count = _Count(self._clock())
        folder = owner_folder(principal)
        for entry in self._files.entries(folder):
            parts = entry.path.removeprefix(f"{folder}/").split("/")
            # volumes/<id>/segmentations/<id>.seg, or responses/<name>, or of the volume itself.
            kind = "segmentations" if "segmentations" in parts else parts[0]
            count.sizes[kind] += entry.size
        return count
