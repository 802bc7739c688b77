"""Which bundle is active: one record, which every front end of the store follows.

The record names a bundle by its digest and holds nothing of it: its files lie where front ends and
Triton read them. Whoever changes the record says which one they looked at, so of two who change it
at the same time one is refused.
"""

from dataclasses import dataclass
from typing import Final

from sammoe.errors import Conflict
from sammoe.store.files import Files, storage_errors
from sammoe.store.records import PublishedRecord, ReleaseRecord

_PATH: Final = "published.json"

_KEPT: Final = 16
"""Bundles before the active one that are remembered."""


@dataclass(frozen=True)
class Seen:
    """The record at a moment, None where nothing was published, and its version in the store."""

    record: PublishedRecord | None
    version: str | None


class Published:
    """Blocking, from any thread; raises `StoreUnavailable`, also where the record is damaged."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def look(self) -> Seen:
        """Return the record of now."""
        with storage_errors():
            try:
                found = self._files.read_versioned(_PATH)
            except FileNotFoundError:
                return Seen(None, None)
        return Seen(PublishedRecord.parse(found.content), found.version)

    def activate(self, release: ReleaseRecord, seen: Seen) -> PublishedRecord:
        """Make a bundle the active one, and what was active the one before it.

        Parameters
        ----------
        release
            The bundle; one of those before, to go back.
        seen
            What the decision was made on.

        Raises
        ------
        Conflict
            Somebody has changed the record since; it stays as it is.
        """
        old = () if seen.record is None else (seen.record.active, *seen.record.before)
        others = tuple(one for one in old if one.digest != release.digest)
        record = PublishedRecord(active=release, before=others[:_KEPT])
        text = [record.model_dump_json().encode()]
        with storage_errors():
            if seen.version is None:
                done = self._files.create(_PATH, text)
            else:
                done = self._files.replace(_PATH, text, seen.version)
        if not done:
            raise Conflict("Somebody else has changed the active bundle meanwhile: look again.")
        return record
