"""Answers kept for an Idempotency-Key."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sammoe.errors import IdempotencyConflict, NotFound
from sammoe.store.files import Files, storage_errors
from sammoe.store.folders import owner_folder, response_marker
from sammoe.store.frames import frame, read_frame
from sammoe.store.ids import check_id
from sammoe.store.limits import StoreLimits
from sammoe.store.records import PromiseRecord, ResponseRecord, now
from sammoe.store.usage import Usage
from sammoe.store.volumes import Volumes


@dataclass(frozen=True)
class StoredResponse:
    """An answer as it was sent: status, headers, body; and the volume that it is about.

    ``volume_owner``: whose that is; None: the principal's own.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    volume_id: str | None = None
    volume_owner: str | None = None


class Responses:
    """Answers by principal and key. Blocking, from any thread; errors as in `Volumes`.

    An answer about a volume goes with it.
    """

    def __init__(self, files: Files, volumes: Volumes, limits: StoreLimits, usage: Usage) -> None:
        self._files = files
        self._volumes = volumes
        self._keep_seconds = limits.responses.seconds
        self._usage = usage

    def get(self, principal: str, key: str, request_digest: str) -> StoredResponse | None:
        """Return the answer that was given to this request under this key, if any.

        Raises
        ------
        IdempotencyConflict
            The key was used with another request.
        """
        with storage_errors():
            try:
                header, body = read_frame(self._files, _path(principal, key))
            except FileNotFoundError:
                return None
            record = ResponseRecord.parse(header)
            if not self._counts(record):
                return None
        if record.request_digest != request_digest:
            raise IdempotencyConflict(
                "This Idempotency-Key was used with another request: take a new key."
            )
        return StoredResponse(
            record.status, record.headers, bytes(body), record.volume_id, record.volume_owner
        )

    def promise(
        self, principal: str, key: str, request_digest: str, volume: tuple[str, str], name: str
    ) -> str:
        """Promise an id to what a request is about to make on a volume, before it does.

        Where the process dies between the record and its answer, the next request under the key
        makes the same record again, and no second one.

        Parameters
        ----------
        volume
            Its owner and id.

        Returns
        -------
        ``name``, or the id that this request was promised before.

        Raises
        ------
        NotFound
            There is no such volume.
        """
        record = PromiseRecord(
            owner=principal, created=now(), request_digest=request_digest, name=name
        )
        owner, volume_id = volume
        marker = response_marker(owner, check_id(volume_id, "volume"), principal, key)
        pieces = [record.model_dump_json().encode()]
        with storage_errors():
            self._volumes.check(owner, volume_id)
            if self._files.create(marker, pieces):
                return name
            with suppress(FileNotFoundError):
                # Empty: of an answer that made nothing.
                if text := self._files.read(marker):
                    kept = PromiseRecord.parse(text)
                    if kept.request_digest == request_digest and not self._too_old(kept.created):
                        return kept.name
            # That request failed, or its answer is too old: the key is free for this one.
            self._files.write(marker, pieces)
        return name

    def put(
        self, principal: str, key: str, request_digest: str, response: StoredResponse
    ) -> StoredResponse:
        """Keep an answer unless the key has one; return the one that is kept.

        Raises
        ------
        IdempotencyConflict
            The key was used with another request.
        NotFound
            The volume that the answer is about was deleted.
        QuotaExceeded
            The principal has no room left for it.
        """
        path = _path(principal, key)
        record = ResponseRecord(
            owner=principal,
            created=now(),
            request_digest=request_digest,
            volume_id=response.volume_id,
            volume_owner=response.volume_owner,
            status=response.status,
            headers=dict(response.headers),
        )
        pieces = frame(record.model_dump_json().encode(), [response.body])
        with storage_errors():
            self._usage.take(principal, "responses", sum(len(piece) for piece in pieces))
            marker, owner = None, response.volume_owner or principal
            if response.volume_id is not None:
                marker = response_marker(owner, response.volume_id, principal, key)
                self._files.create(marker, [])  # unless it holds the promise
            while not self._files.create(path, pieces):
                kept = self.get(principal, key, request_digest)
                if kept is not None:
                    return kept
                # Too old, or about a volume that is gone.
                self._files.remove(path)
            if marker is not None and response.volume_id is not None:
                try:
                    # Only now: a deletion from here on finds what was written.
                    self._volumes.check(owner, response.volume_id)
                except NotFound:
                    self._files.remove(path)
                    self._files.remove(marker)
                    raise
        return response

    def forget(self, principal: str, key: str) -> None:
        """Drop the answer that a key has, if any: the next one is kept."""
        with storage_errors():
            self._files.remove(_path(principal, key))
        self._usage.forget(principal)

    def _counts(self, record: ResponseRecord) -> bool:
        """Whether an answer still holds: it is not too old, and its volume is there."""
        if self._too_old(record.created):
            return False
        if record.volume_id is not None:
            try:
                self._volumes.check(record.volume_owner or record.owner, record.volume_id)
            except NotFound:
                return False
        return True

    def _too_old(self, created: datetime) -> bool:
        seconds = self._keep_seconds
        return seconds is not None and now() - created > timedelta(seconds=seconds)


def _path(principal: str, key: str) -> str:
    name = hashlib.sha256(key.encode()).hexdigest()
    return f"{owner_folder(principal)}/responses/{name}"
