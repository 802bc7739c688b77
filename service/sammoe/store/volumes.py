"""Volumes in the store."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sammoe.store.files import (
    Scratch,
    flush_folder,
    locked,
    make_folder,
    storage_errors,
    write_flushed,
)
from sammoe.store.folders import Page, ids_in, owner_folder, page
from sammoe.store.frames import damaged
from sammoe.store.ids import check_id, not_found
from sammoe.store.records import VolumeRecord, upload_key
from sammoe.volume.dicom.source import DicomSource

SEGMENTATIONS = "segmentations"
RESULTS = "results"

_WHAT = "volume"


class Volumes:
    """Records and voxels of volumes. Every method blocks; each may be called from any thread.

    Raises
    ------
    NotFound
        From every method that takes an id: no such record, or another principal's.
    StoreUnavailable
        From every method: the disk is full or failed, or a record is damaged or too new.
    """

    def __init__(self, root: Path, scratch: Scratch) -> None:
        self._root = root
        self._scratch = scratch

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
        """
        owner = owner_folder(self._root, record.owner)
        key = upload_key(record.file_digest, record.modality_asked)
        unfinished = self._scratch.path()
        with storage_errors():
            make_folder(owner / "uploads")
            make_folder(owner / "volumes")
            try:
                self._write(unfinished, record, voxels, source)
                with locked(owner / "lock"):
                    earlier = self.of_upload(record.owner, key)
                    if earlier is not None:
                        return earlier
                    # An upload that names no volume counts as none, so it comes first.
                    self._scratch.write(owner / "uploads" / key, [record.id.encode()])
                    os.rename(unfinished, owner / "volumes" / record.id)
                    flush_folder(owner / "volumes")
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        return record

    def of_upload(self, principal: str, key: str) -> VolumeRecord | None:
        """Return the principal's volume of an upload (see `upload_key`), if there is one."""
        path = owner_folder(self._root, principal) / "uploads" / key
        with storage_errors():
            if not path.exists():
                return None
            name = path.read_text()
            return self._read(principal, name) if self._folder(principal, name).exists() else None

    def get(self, principal: str, name: str) -> VolumeRecord:
        """Return a volume's record."""
        with storage_errors():
            return self._read(principal, check_id(name, _WHAT))

    def voxels(self, record: VolumeRecord) -> NDArray[Any]:
        """Return a volume's voxels, read-only and mapped from the file: only what is used is read.

        The operating system keeps what was read lately, so a map is all the cache that is needed.
        """
        path = self._folder(record.owner, record.id) / "voxels.npy"
        with storage_errors():
            try:
                voxels = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
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
        path = self._folder(record.owner, record.id) / "source"
        with storage_errors():
            try:
                return DicomSource.unpack(path.read_bytes())
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
        return ids_in(owner_folder(self._root, principal) / "volumes")

    def delete(self, principal: str, name: str) -> None:
        """Delete a volume, its segmentations and results, all at once."""
        record = self.get(principal, name)
        key = upload_key(record.file_digest, record.modality_asked)
        owner = owner_folder(self._root, principal)
        with storage_errors(), locked(owner / "lock"):
            try:
                self._scratch.discard(owner / "volumes" / name)
            except FileNotFoundError:
                raise not_found(_WHAT) from None
            (owner / "uploads" / key).unlink(missing_ok=True)

    def segmentations_folder(self, principal: str, name: str) -> Path:
        """Folder of a volume's segmentations; whether or not there is such a volume."""
        return self._folder(principal, check_id(name, _WHAT)) / SEGMENTATIONS

    def results_folder(self, principal: str, name: str) -> Path:
        """Folder of a volume's results; whether or not there is such a volume, or any result."""
        return self._folder(principal, check_id(name, _WHAT)) / RESULTS

    def _folder(self, principal: str, name: str) -> Path:
        return owner_folder(self._root, principal) / "volumes" / name

    def _read(self, principal: str, name: str) -> VolumeRecord:
        try:
            text = (self._folder(principal, name) / "volume.json").read_bytes()
        except FileNotFoundError:
            raise not_found(_WHAT) from None
        record = VolumeRecord.parse(text)
        if record.owner != principal or record.id != name:
            raise not_found(_WHAT)
        return record

    def _write(
        self, folder: Path, record: VolumeRecord, voxels: NDArray[Any], source: bytes | None
    ) -> None:
        (folder / SEGMENTATIONS).mkdir(parents=True)
        with (folder / "voxels.npy").open("xb") as stream:
            np.save(stream, voxels, allow_pickle=False)
            stream.flush()
            os.fsync(stream.fileno())
        if source is not None:
            write_flushed(folder / "source", [source])
        write_flushed(folder / "volume.json", [record.model_dump_json().encode()])
        flush_folder(folder)
