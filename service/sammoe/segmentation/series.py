"""Whether a volume still is its whole series: the PACS may have got more of it since.

A viewer that tells a series by its UID counts slices as the PACS shows them now. A volume that was
read while the scanner was still sending, or of a part of the series, would be clicked elsewhere.
"""

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Final

from sammoe.errors import PacsError, SeriesMissing
from sammoe.segmentation.pulling import Pull
from sammoe.segmentation.volumes import Volumes
from sammoe.store import VolumeRecord

_FRESH_SECONDS: Final = 5.0
"""So long the PACS is not asked again about a series: clicks follow each other."""

_SILENT_SECONDS: Final = 30.0
"""The same where it did not answer: not every click is to wait for one that hangs."""

_PATIENCE_SECONDS: Final = 2.0
"""So long a click waits for what the PACS says."""

_MOST: Final = 1024
"""Series of which is remembered what was said."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """When a volume was compared, and how many instances of its series the PACS told then."""

    at: float
    volume: str
    told: int | None

    @property
    def holds(self) -> float:
        """Seconds for which the PACS is not asked again."""
        return _SILENT_SECONDS if self.told is None else _FRESH_SECONDS


class WholeSeries:
    """Pulls a series again where the default PACS has another number of instances of it."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes
        self._looked: dict[tuple[str, str], _Looked] = {}

    async def of(self, found: VolumeRecord, limit: int) -> VolumeRecord:
        """The volume that was found, or the one of the whole series, of up to ``limit`` bytes.

        Where the PACS does not answer, or has no such series, it is the one that was found.

        Raises
        ------
        VolumeInvalid, SeriesMissing, PacsError, PacsUnavailable, TooLarge
            The PACS has another number of instances, and they can not be had or read: see
            `Volumes.pull`.
        """
        source = found.source
        if source is None or not self._volumes.pacs.names:
            return found
        key = found.owner, source.series
        last = self._looked.get(key)
        if last is not None and last.volume != found.id:
            last = None
        if last is not None and monotonic() - last.at < last.holds:
            return found
        told = await self._told(source.study, source.series)
        record = found
        # A series may have what is left out of a volume: that was pulled, and is no more.
        if told is not None and (last is None or told != last.told):
            kept = len((await self._volumes.source(found)).headers)
            if kept != told:
                pull = Pull(
                    source.study,
                    source.series,
                    modality=found.modality_asked,
                    project=found.project,
                )
                record, _ = await self._volumes.pull(found.owner, pull, limit)
        self._looked.pop(key, None)
        self._looked[key] = _Looked(monotonic(), record.id, told)
        if len(self._looked) > _MOST:
            del self._looked[next(iter(self._looked))]
        return record

    async def _told(self, study: str, series: str) -> int | None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._volumes.pacs.instances(study, series)
        except (PacsError, SeriesMissing, TimeoutError):
            return None
