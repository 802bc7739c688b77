"""Where things lie in the store.

::

    store.json                                  the form's version
    tmp/                                        see sammoe.store.scratch; not in a bucket
    published.json                              the active bundle; see sammoe.store.published
    ready                                       written to see whether it can be
    housekeeping                                who tidies up next; see sammoe.store.housekeeping
    deleted/<id>                                a volume that is being forgotten
    contents/<content key>/<id>                 a volume of that content, empty
    keys/<id>.json, keys/<id>.revoked           API keys; see sammoe.store.keys
    leases/<id>.json                            viewers that are connected
    waiting/<id>.json                           studies to prepare; see sammoe.store.waiting
    projects/<SHA-256 of the project>/<id>      a volume that its members share: who owns it
    owners/<SHA-256 of the principal>/
        uploads/<upload key>                    id of the volume made from that upload
        series/<series key>/<id>                a volume of that DICOM series, empty
        responses/<SHA-256 of the key>          answers kept for an Idempotency-Key
        volumes/<id>/volume.json
        volumes/<id>/voxels.npy
        volumes/<id>/source                     of a volume that came from DICOM: DicomSource.pack
        volumes/<id>/segmentations/<id>.seg
        volumes/<id>/results/<id>.json
        volumes/<id>/responses/<SHA-256>        which answers are about the volume; empty, or the id
                                                promised to what the request makes; of other
                                                principals <their SHA-256>.<SHA-256>

A volume is there as long as its ``volume.json`` is, which is written last and removed first.
"""

import bisect
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sammoe.errors import InvalidInput, NotFound, StoreUnavailable
from sammoe.store.files import Files
from sammoe.store.ids import is_id

T = TypeVar("T")

OWNERS = "owners"
CONTENTS = "contents"
DELETED = "deleted"
PROJECTS = "projects"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list, newest first; ``cursor`` asks for the next part, None at the end."""

    items: tuple[T, ...]
    cursor: str | None


def owner_folder(principal: str) -> str:
    """Folder of a principal; its name tells nothing about the principal's."""
    return f"{OWNERS}/{_hidden(principal)}"


def project_folder(project: str) -> str:
    """Folder of what a project's members share."""
    return f"{PROJECTS}/{_hidden(project)}"


def project_path(project: str, name: str) -> str:
    """The file that says that a volume belongs to a project."""
    return f"{project_folder(project)}/{name}"


def volume_folder(principal: str, name: str) -> str:
    """Folder of a volume, whether or not there is such a volume."""
    return f"{owner_folder(principal)}/volumes/{name}"


def upload_path(principal: str, key: str) -> str:
    """The file that names the volume of an upload."""
    return f"{owner_folder(principal)}/uploads/{key}"


def series_folder(principal: str, key: str) -> str:
    """Folder of what a principal has of a DICOM series; see `series_key`."""
    return f"{owner_folder(principal)}/series/{key}"


def series_path(principal: str, key: str, name: str) -> str:
    """The file that says that a volume is of a series."""
    return f"{series_folder(principal, key)}/{name}"


def response_marker(owner: str, volume_id: str, principal: str, key: str) -> str:
    """The file that says that a principal's answer under a key is about that owner's volume."""
    name = _hidden(key) if principal == owner else f"{_hidden(principal)}.{_hidden(key)}"
    return f"{volume_folder(owner, volume_id)}/responses/{name}"


def response_path(owner: str, marker: str) -> str:
    """The answer that the name of a `response_marker` stands for."""
    principal, _, key = marker.rpartition(".")
    folder = f"{OWNERS}/{principal}" if principal else owner_folder(owner)
    return f"{folder}/responses/{key}"


def content_path(content: str, name: str) -> str:
    """The file that says that a volume has that content; see `content_key`."""
    return f"{CONTENTS}/{content}/{name}"


def ids_in(files: Files, folder: str, suffix: str = "") -> list[str]:
    """Ids (ascending) that have an entry ``<id><suffix>`` in a folder; none if it is missing."""
    names = files.names(folder)
    ids = (name.removesuffix(suffix) for name in names if name.endswith(suffix))
    return sorted(filter(is_id, ids))


def page(ids: list[str], cursor: str | None, limit: int, read: Callable[[str], T]) -> Page[T]:
    """Read up to ``limit`` records, newest first, from after ``cursor``.

    A record that is deleted meanwhile is left out, and one that can not be read, which is logged:
    it shall not hide the others.

    Raises
    ------
    InvalidInput
        The cursor is none that a page gave.
    """
    if cursor is not None and not is_id(cursor):
        raise InvalidInput("The cursor is none of this list.", pointer="/cursor")
    end = len(ids) if cursor is None else bisect.bisect_left(ids, cursor)
    chosen = ids[max(0, end - limit) : end][::-1]
    items = []
    for name in chosen:
        try:
            items.append(read(name))
        except NotFound:
            continue
        except StoreUnavailable as error:
            if not error.record:
                raise
            _log.warning("a record is left out of a list: it is damaged, or of a newer version")
    return Page(tuple(items), chosen[-1] if end > limit else None)


def _hidden(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
