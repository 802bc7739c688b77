"""Volumes in the store."""

import secrets
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import NotFound, StoreUnavailable
from sammoe.store.deletions import Deletions
from sammoe.store.files import Files, storage_errors
from sammoe.store.folders import (
    Page,
    ids_in,
    owner_folder,
    page,
    project_folder,
    project_path,
    series_folder,
    upload_path,
    volume_folder,
)
from sammoe.store.frames import damaged
from sammoe.store.ids import check_id, is_id, not_found
from sammoe.store.limits import StoreLimits
from sammoe.store.lists import entries_of
from sammoe.store.records import VolumeRecord, series_key
from sammoe.store.usage import Usage
from sammoe.volume.dicom.source import DicomSource

_WHAT = "volume"


class Volumes:
    """Records and voxels of volumes. Every method blocks; each may be called from any thread.

    Raises
    ------
    NotFound
        From every method that takes an id: no such record, one that is too old, or another
        principal's.
    StoreUnavailable
        From every method: the disk or the server failed, or a record is damaged or too new.
    """

    def __init__(
        self, files: Files, limits: StoreLimits, usage: Usage, deletions: Deletions
    ) -> None:
        self._files = files
        self._keeping = limits.volumes
        self._usage = usage
        self._deletions = deletions

    def add(
        self, record: VolumeRecord, voxels: NDArray[Any], source: bytes | None = None
    ) -> VolumeRecord:
        """Keep a new volume, unless its owner has one of the same upload.

        Parameters
        ----------
        record
            With a new id.
        voxels
            [i, j, k]; of the record's shape and dtype.
        source
            `DicomSource.pack` of where it came from, if the record names a series.

        Returns
        -------
        The record given, or the one of the earlier volume; its id tells which.

        Raises
        ------
        QuotaExceeded
            The owner has no room left for it.
        """
        unfinished = self._files.temporary_folder / f"voxels-{secrets.token_hex(8)}.npy"
        text = record.model_dump_json().encode()
        with storage_errors():
            try:
                np.save(unfinished, voxels, allow_pickle=False)
                size = unfinished.stat().st_size + len(source or b"") + len(text)
                self._usage.take(record.owner, "volumes", size)
                self._files.adopt(f"{_folder(record)}/voxels.npy", unfinished)
                if source is not None:
                    self._files.write(f"{_folder(record)}/source", [source])
                for path, content in entries_of(record).items():
                    self._files.write(path, [content])
                self._files.write(_record_path(record.owner, record.id), [text])
                kept = self._claim(record)
            except BaseException:
                self._take_back(record)
                raise
            finally:
                unfinished.unlink(missing_ok=True)
            if kept.id != record.id:
                self._take_back(record)
        return kept

    def of_upload(self, principal: str, key: str) -> VolumeRecord | None:
        """Return the principal's volume of an upload (see `upload_key`), if there is one."""
        with storage_errors():
            try:
                name = self._files.read(upload_path(principal, key)).decode()
            except FileNotFoundError:
                return None
            return self._if_there(principal, name)

    def name(self, principal: str, key: str, volume_id: str) -> None:
        """Let a key (see `upload_key`) stand for a volume from now on, whatever it stood for."""
        with storage_errors():
            self._files.write(upload_path(principal, key), [check_id(volume_id, _WHAT).encode()])

    def of_series(self, principal: str, series: str) -> VolumeRecord | None:
        """Return the principal's newest volume of a DICOM series (its UID), if there is one."""
        with storage_errors():
            folder = series_folder(principal, series_key(series))
            for name in reversed(ids_in(self._files, folder)):
                record = self._if_there(principal, name)
                if record is not None and record.source and record.source.series == series:
                    return record
        return None

    def get(self, principal: str, name: str) -> VolumeRecord:
        """Return a volume's record."""
        with storage_errors():
            return self._read(principal, check_id(name, _WHAT))

    def owner_in(self, project: str, name: str) -> str | None:
        """Return who owns a volume of a project; None where there is none of that id."""
        with storage_errors():
            return self._owner_in(project, check_id(name, _WHAT))

    def page_in(self, project: str, cursor: str | None, limit: int) -> Page[VolumeRecord]:
        """List a project's volumes, newest first, whoever owns them."""
        with storage_errors():
            return page(
                self.ids_in(project), cursor, limit, lambda name: self._shared(project, name)
            )

    def ids_in(self, project: str) -> list[str]:
        """Return the ids of a project's volumes, ascending."""
        with storage_errors():
            ids = ids_in(self._files, project_folder(project))
        return [name for name in ids if not self._keeping.is_over(name)]

    def check(self, principal: str, name: str) -> None:
        """Return if there is such a volume."""
        with storage_errors():
            if self._keeping.is_over(name) or not self._files.exists(_record_path(principal, name)):
                raise not_found(_WHAT)

    def voxels(self, record: VolumeRecord) -> NDArray[Any]:
        """Return a volume's voxels, read-only and mapped from a file: only what is used is read.

        The operating system keeps what was read lately, so a map is all the cache that is needed.
        """
        with storage_errors():
            try:
                voxels = np.asarray(self._map(f"{_folder(record)}/voxels.npy"))
            except FileNotFoundError:
                raise not_found(_WHAT) from None
            except (ValueError, EOFError) as error:
                raise damaged() from error
        if voxels.shape != record.shape or voxels.dtype.name != record.dtype:
            raise damaged()
        return voxels

    def source(self, record: VolumeRecord) -> DicomSource:
        """Return where a volume came from, with the headers of its instances.

        Raises
        ------
        NotFound
            The volume did not come from DICOM, or is gone.
        """
        with storage_errors():
            try:
                return DicomSource.unpack(self._files.read(f"{_folder(record)}/source"))
            except FileNotFoundError:
                raise not_found("source of this volume") from None
            except ValueError as error:
                raise damaged() from error

    def page(self, principal: str, cursor: str | None, limit: int) -> Page[VolumeRecord]:
        """List a principal's volumes, newest first."""
        with storage_errors():
            return page(
                self.ids(principal), cursor, limit, lambda name: self._read(principal, name)
            )

    def ids(self, principal: str) -> list[str]:
        """Return the ids of a principal's volumes, ascending."""
        ids = ids_in(self._files, f"{owner_folder(principal)}/volumes")
        return [name for name in ids if not self._keeping.is_over(name)]

    def delete(self, principal: str, name: str) -> None:
        """Delete a volume and all that belongs to it; see `Deletions`."""
        record = self.get(principal, name)
        with storage_errors():
            if not self._deletions.delete(record):
                raise not_found(_WHAT)
        self._usage.forget(principal)

    def _map(self, path: str) -> Any:
        try:
            return np.load(self._files.local(path), mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            # Gone, or a copy that was dropped before it was opened, for want of room.
            return np.load(self._files.local(path), mmap_mode="r", allow_pickle=False)

    def _claim(self, record: VolumeRecord) -> VolumeRecord:
        """Make the record the one of its upload, unless there is one; return the one there is."""
        path = upload_path(record.owner, record.upload)
        mine = [record.id.encode()]
        while not self._files.create(path, mine):
            try:
                claim = self._files.read_versioned(path)
            except FileNotFoundError:
                continue
            earlier = self._if_there(record.owner, claim.content.decode())
            if earlier is not None:
                return earlier
            if self._files.replace(path, mine, claim.version):
                break
        return record

    def _take_back(self, record: VolumeRecord) -> None:
        """Remove what nobody was told of; what is left of it is tidied up later."""
        self._usage.forget(record.owner)
        with suppress(OSError, StoreUnavailable):
            self._files.remove(_record_path(record.owner, record.id))
            self._files.remove_all(_folder(record))
            for path in entries_of(record):
                self._files.remove(path)

    def _if_there(self, principal: str, name: str) -> VolumeRecord | None:
        try:
            return self._read(principal, name) if is_id(name) else None
        except NotFound:
            return None

    def _read(self, principal: str, name: str) -> VolumeRecord:
        if self._keeping.is_over(name):
            raise not_found(_WHAT)
        try:
            text = self._files.read(_record_path(principal, name))
        except FileNotFoundError:
            raise not_found(_WHAT) from None
        record = VolumeRecord.parse(text)
        if record.owner != principal or record.id != name:
            raise not_found(_WHAT)
        return record

    def _owner_in(self, project: str, name: str) -> str | None:
        try:
            return self._files.read(project_path(project, name)).decode()
        except FileNotFoundError:
            return None

    def _shared(self, project: str, name: str) -> VolumeRecord:
        owner = self._owner_in(project, name)
        if owner is None:
            raise not_found(_WHAT)
        record = self._read(owner, name)
        if record.project != project:
            raise not_found(_WHAT)
        return record


def _folder(record: VolumeRecord) -> str:
    return volume_folder(record.owner, record.id)


def _record_path(principal: str, name: str) -> str:
    return f"{volume_folder(principal, name)}/volume.json"
