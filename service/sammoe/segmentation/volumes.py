"""What a principal can do with volumes: add, find, list and delete them."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from sammoe.engine import WorkerPool
from sammoe.errors import StoreUnavailable
from sammoe.pacs import Pacs
from sammoe.segmentation.adding import ModalityAsked, Upload, add_volume, keep_volume
from sammoe.segmentation.forgetting import Forgetting
from sammoe.segmentation.pulling import Pull
from sammoe.store import Page, Store, VolumeRecord, upload_key
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.limits import ReadLimits
from sammoe.volume.volume import Volume

T = TypeVar("T")


class Volumes:
    """What a principal can do with volumes; errors as in `Workspace`.

    Parameters
    ----------
    forgetting
        Told of deletions, so that copies of what is gone go as well.
    limits
        The largest scan that is taken.
    clicks, scans
        Workers for records, and for reading files.

    Attributes
    ----------
    pacs
        DICOMweb servers that series can be pulled from.
    """

    def __init__(
        self,
        store: Store,
        pacs: Pacs,
        forgetting: Forgetting,
        limits: ReadLimits,
        clicks: WorkerPool,
        scans: WorkerPool,
    ) -> None:
        self._store = store
        self.pacs = pacs
        self._forgetting = forgetting
        self._limits = limits
        self._clicks = clicks
        self._scans = scans

    async def add(
        self,
        principal: str,
        path: Path,
        *,
        filename: str | None = None,
        modality: ModalityAsked = "auto",
        file_digest: str | None = None,
        project: str | None = None,
    ) -> tuple[VolumeRecord, bool]:
        """Read a scan and keep it; see `sammoe.segmentation.adding`.

        Returns
        -------
        The record, and whether it is new: the same file with the same ``modality`` and ``project``
        is the same volume of its principal.
        """
        upload = Upload(path, filename, modality, file_digest, project=project)
        ran = await self._scans.run(
            lambda: add_volume(self._store, principal, upload, self._limits)
        )
        return ran.value

    async def keep(self, principal: str, read: Callable[[], tuple[Volume, str]]) -> VolumeRecord:
        """Keep a scan that comes by another way than as a file.

        Parameters
        ----------
        read
            Makes it, in a worker, with a name (SHA-256, hex) of what it was made of: the same name
            again is the same volume.
        """
        ran = await self._scans.run(lambda: keep_volume(self._store, principal, *read()))
        return ran.value[0]

    async def pull(self, principal: str, pull: Pull, limit: int) -> tuple[VolumeRecord, bool]:
        """Get a series of up to ``limit`` bytes from a DICOMweb server and keep it.

        Returns
        -------
        As `add`: as long as the server sends the same files, it is the same volume.

        Raises
        ------
        SeriesMissing, PacsError, PacsUnavailable, PacsUnknown, TooLarge
            See `Pacs.retrieve`; or the series sent is another one.
        """
        folder = self._store.temporary_folder
        async with self.pacs.retrieve(
            pull.study, pull.series, folder, limit, pull.server
        ) as arrived:
            series = (pull.study, pull.series)
            upload = Upload(arrived.path, None, pull.modality, arrived.digest, series, pull.project)
            ran = await self._scans.run(
                lambda: add_volume(self._store, principal, upload, self._limits)
            )
        return ran.value

    async def get(self, principal: str, volume_id: str) -> VolumeRecord:
        """Return a volume's record."""
        return await self._short(lambda: self._store.volumes.get(principal, volume_id))

    async def voxels(self, principal: str, volume_id: str) -> tuple[VolumeRecord, NDArray[Any]]:
        """Return a volume's record and its voxels [i, j, k], mapped from a file, read-only."""

        def open_them() -> tuple[VolumeRecord, NDArray[Any]]:
            record = self._store.volumes.get(principal, volume_id)
            return record, self._store.volumes.voxels(record)

        return await self._short(open_them)

    async def source(self, volume: VolumeRecord) -> DicomSource:
        """Return the DICOM series that a volume came from; `NotFound` if it did not."""
        return await self._short(lambda: self._store.volumes.source(volume))

    async def find(
        self, principal: str, file_digest: str, *, series: str | None = None
    ) -> VolumeRecord | None:
        """Find a volume by what it was made of, or else by its DICOM series' UID."""

        def find() -> VolumeRecord | None:
            volumes = self._store.volumes
            found = volumes.of_upload(principal, upload_key(file_digest, "auto"))
            if found is not None or series is None:
                return found
            return volumes.of_series(principal, series)

        return await self._short(find)

    async def name(self, principal: str, name: str, volume_id: str) -> None:
        """Let `find` find a volume by a name (SHA-256, hex) that a viewer gave it."""
        key = upload_key(name, "auto")
        await self._short(lambda: self._store.volumes.name(principal, key, volume_id))

    async def list(
        self,
        principal: str,
        cursor: str | None = None,
        limit: int = 50,
        *,
        project: str | None = None,
    ) -> Page[VolumeRecord]:
        """List the principal's volumes, or those of a project, newest first."""
        volumes = self._store.volumes
        if project is not None:
            return await self._short(lambda: volumes.page_in(project, cursor, limit))
        return await self._short(lambda: volumes.page(principal, cursor, limit))

    async def delete(self, principal: str, volume_id: str) -> None:
        """Delete a volume and all that belongs to it: segmentations, results, kept answers.

        Its embeddings are forgotten where no other volume has the same content: here and in
        ``shared`` now, by other front ends at their next look.
        """
        await self._short(lambda: self._store.volumes.delete(principal, volume_id))
        with suppress(StoreUnavailable):  # it is deleted; the next look makes up for this one
            await self._forgetting.look()

    async def _short(self, call: Callable[[], T]) -> T:
        return (await self._clicks.run(call)).value
