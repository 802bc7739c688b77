"""Where things lie in the store's folder.

::

    store.json                                  the form's version
    tmp/                                        see sammoe.store.files
    owners/<SHA-256 of the principal>/
        lock                                    held while a volume is added
        uploads/<upload key>                    id of the volume made from that upload
        responses/<SHA-256 of the key>          answers kept for an Idempotency-Key
        volumes/<id>/volume.json
        volumes/<id>/voxels.npy
        volumes/<id>/source                     of a volume that came from DICOM: DicomSource.pack
        volumes/<id>/segmentations/<id>.seg
        volumes/<id>/results/<id>.json
        volumes/<id>/results/lock           held while a result changes

A volume's folder appears and disappears as a whole, by one rename.
"""

import bisect
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from sammoe.errors import InvalidInput, NotFound
from sammoe.store.ids import is_id

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list, newest first; ``cursor`` asks for the next part, None at the end."""

    items: tuple[T, ...]
    cursor: str | None


def owner_folder(root: Path, principal: str) -> Path:
    """Folder of a principal; its name tells nothing about the principal's."""
    return root / "owners" / hashlib.sha256(principal.encode()).hexdigest()


def ids_in(folder: Path, suffix: str = "") -> list[str]:
    """Ids (ascending) that have an entry ``<id><suffix>`` in a folder; none if it is missing."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    ids = (name.removesuffix(suffix) for name in names if name.endswith(suffix))
    return sorted(filter(is_id, ids))


def page(ids: list[str], cursor: str | None, limit: int, read: Callable[[str], T]) -> Page[T]:
    """Read up to ``limit`` records, newest first, from after ``cursor``.

    A record that is deleted meanwhile is left out.

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
    return Page(tuple(items), chosen[-1] if end > limit else None)
