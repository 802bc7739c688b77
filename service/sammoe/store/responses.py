"""Answers kept for an Idempotency-Key."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sammoe.errors import IdempotencyConflict
from sammoe.store.files import Scratch, make_folder, storage_errors
from sammoe.store.folders import owner_folder
from sammoe.store.frames import frame, read_frame
from sammoe.store.records import ResponseRecord, now

KEPT_SECONDS = 24 * 3600.0
"""How long an answer is kept."""

SWEEP_SECONDS = 3600.0
"""How often answers that are too old are looked for."""


@dataclass(frozen=True)
class StoredResponse:
    """An answer as it was sent: status, headers, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Responses:
    """Answers by principal and key. Blocking, from any thread; errors as in `Volumes`."""

    def __init__(self, root: Path, scratch: Scratch) -> None:
        self._root = root
        self._scratch = scratch
        self._swept = time.monotonic()

    def get(self, principal: str, key: str, request_digest: str) -> StoredResponse | None:
        """Return the answer that was given to this request under this key, if any.

        Raises
        ------
        IdempotencyConflict
            The key was used with another request.
        """
        path = self._path(principal, key)
        with storage_errors():
            if _expired(path):
                return None
            try:
                header, body = read_frame(path)
            except FileNotFoundError:
                return None
        record = ResponseRecord.parse(header)
        if record.request_digest != request_digest:
            raise IdempotencyConflict(
                "This Idempotency-Key was used with another request: take a new key."
            )
        return StoredResponse(record.status, record.headers, bytes(body))

    def put(
        self, principal: str, key: str, request_digest: str, response: StoredResponse
    ) -> StoredResponse:
        """Keep an answer unless the key has one; return the one that is kept.

        Raises
        ------
        IdempotencyConflict
            The key was used with another request.
        """
        path = self._path(principal, key)
        record = ResponseRecord(
            owner=principal,
            created=now(),
            request_digest=request_digest,
            status=response.status,
            headers=dict(response.headers),
        )
        pieces = frame(record.model_dump_json().encode(), [response.body])
        if time.monotonic() - self._swept > SWEEP_SECONDS:
            self.sweep()
        with storage_errors():
            make_folder(path.parent)
            while (kept := self.get(principal, key, request_digest)) is None:
                if _expired(path):
                    path.unlink(missing_ok=True)
                try:
                    self._scratch.write_new(path, pieces)
                except FileExistsError:
                    continue
                return response
        return kept

    def sweep(self) -> None:
        """Remove every answer that is too old."""
        self._swept = time.monotonic()
        with storage_errors():
            for path in self._root.glob("owners/*/responses/*"):
                if _expired(path):
                    path.unlink(missing_ok=True)

    def _path(self, principal: str, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return owner_folder(self._root, principal) / "responses" / name


def _expired(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > KEPT_SECONDS
    except FileNotFoundError:
        return False
