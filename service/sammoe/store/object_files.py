"""Files as objects of a bucket: S3, and what speaks like it. For many processes on many machines.

Needs the extra ``s3`` (obstore), and is imported where a bucket is named and not before. Nothing is
remembered of what lies in the bucket, neither lists nor contents: another process may have changed
it. The only copies are those of `ObjectFiles.local`.
"""

import os
import secrets
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import from_url

from sammoe.errors import SettingsInvalid, StoreUnavailable
from sammoe.store.breaker import Breaker
from sammoe.store.copies import Copies
from sammoe.store.files import Entry, Piece, Versioned
from sammoe.store.scratch import Scratch

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_PART_BYTES: Final = 8 << 20
"""Larger files travel in parts of this size, some at once."""

_PARTS_AT_ONCE: Final = 4
_LISTED_AT_ONCE: Final = 1000
_REMOVED_AT_ONCE: Final = 1000


@dataclass(frozen=True)
class ObjectLimits:
    """How patient this process is with the bucket.

    Attributes
    ----------
    connect_seconds, answer_seconds
        To connect; and for one request as a whole, which carries at most 8 MiB.
    retries
        After the first trial of a request, if it is safe to repeat.
    failures, pause_seconds
        See `Breaker`; while it is open, requests are refused at once.
    copies_bytes
        Of all local copies together.
    """

    connect_seconds: float = 2.0
    answer_seconds: float = 10.0
    retries: int = 2
    failures: int = 5
    pause_seconds: float = 1.0
    copies_bytes: int = 16 << 30


class ObjectFiles:
    """See `Files`. Credentials and endpoint come from the environment, as other clients have them.

    Parameters
    ----------
    url
        ``s3://bucket/prefix``.
    folder
        Local, for unfinished files and copies.

    Raises
    ------
    SettingsInvalid
        The URL, or what the environment says about it, can not be used.
    StoreUnavailable
        The bucket can not be used, or its server does not honour conditional writes, by which
        processes would overwrite each other's records.
    """

    def __init__(self, url: str, folder: Path, limits: ObjectLimits | None = None) -> None:
        limits = limits or ObjectLimits()
        try:
            self._bucket = from_url(
                url, client_options=_client(limits), retry_config=_retry(limits)
            )
        except (BaseError, ValueError):
            # Its message could hold a secret of the environment.
            raise SettingsInvalid(
                "The store's URL, or a variable of the environment about it, can not be used."
            ) from None
        # Apart, for a bucket that is full can be read.
        self._reads = Breaker(limits.failures, limits.pause_seconds)
        self._writes = Breaker(limits.failures, limits.pause_seconds)
        self._breaker_lock = threading.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._scratch = Scratch(folder)
        self._copies = Copies(self._scratch.folder / "copies", limits.copies_bytes)
        self._parts = ThreadPoolExecutor(_PARTS_AT_ONCE, thread_name_prefix="sammoe-parts")
        try:
            self._try_conditions()
        except BaseException:
            self.close()
            raise

    @property
    def temporary_folder(self) -> Path:
        """See `Files.temporary_folder`."""
        return self._scratch.folder

    def read(self, path: str) -> bytes:
        """See `Files.read`."""
        with self._asking():
            return bytes(obstore.get(self._bucket, path).bytes())

    def read_start(self, path: str, size: int) -> bytes:
        """See `Files.read_start`."""
        with self._asking():
            return bytes(obstore.get_range(self._bucket, path, start=0, length=size))

    def read_versioned(self, path: str) -> Versioned:
        """See `Files.read_versioned`."""
        with self._asking():
            found = obstore.get(self._bucket, path)
            version = found.meta["e_tag"]
            if version is None:
                raise StoreUnavailable("The store's server tells no versions (ETag).")
            return Versioned(bytes(found.bytes()), version)

    def exists(self, path: str) -> bool:
        """See `Files.exists`."""
        try:
            with self._asking():
                obstore.head(self._bucket, path)
        except FileNotFoundError:
            return False
        return True

    def local(self, path: str) -> Path:
        """See `Files.local`; a copy is kept for the next time, as long as there is room."""
        return self._copies.get(path, lambda file: self._fetch(path, file))

    def forget(self, path: str) -> None:
        """See `Files.forget`."""
        self._copies.forget(path)

    def write(self, path: str, pieces: Iterable[Piece]) -> None:
        """See `Files.write`."""
        self._put(path, b"".join(pieces))

    def adopt(self, path: str, file: Path) -> None:
        """See `Files.adopt`; the file becomes the copy for `local`."""
        self._put(path, file)
        self._copies.adopt(path, file)

    def create(self, path: str, pieces: Iterable[Piece]) -> bool:
        """See `Files.create`."""
        content = b"".join(pieces)
        try:
            with self._asking(writing=True), _bucket_is_there():
                obstore.put(self._bucket, path, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return self._holds(path, content)
        return True

    def replace(self, path: str, pieces: Iterable[Piece], version: str) -> bool:
        """See `Files.replace`."""
        content = b"".join(pieces)
        try:
            with self._asking(writing=True):
                obstore.put(
                    self._bucket, path, content, mode={"e_tag": version}, use_multipart=False
                )
        except (PreconditionError, FileNotFoundError):
            return self._holds(path, content)
        return True

    def remove(self, path: str) -> None:
        """See `Files.remove`."""
        with self._asking(writing=True):
            obstore.delete(self._bucket, path)
        self._copies.forget(path)

    def remove_all(self, folder: str) -> None:
        """See `Files.remove_all`."""
        paths = [entry.path for entry in self.entries(folder)]
        for start in range(0, len(paths), _REMOVED_AT_ONCE):
            with self._asking(writing=True):
                obstore.delete(self._bucket, paths[start : start + _REMOVED_AT_ONCE])
        for path in paths:
            self._copies.forget(path)

    def names(self, folder: str) -> list[str]:
        """See `Files.names`."""
        with self._asking():
            found = obstore.list_with_delimiter(self._bucket, folder)
        paths = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        return [path.rstrip("/").rpartition("/")[2] for path in paths]

    def entries(self, folder: str) -> Iterator[Entry]:
        """See `Files.entries`."""
        pages = iter(obstore.list(self._bucket, folder, chunk_size=_LISTED_AT_ONCE))
        while True:
            with self._asking():
                page = next(pages, None)
            if page is None:
                return
            for entry in page:
                yield Entry(entry["path"], entry["size"], entry["last_modified"])

    def check(self) -> None:
        """See `Files.check`; what is written is read, too."""
        self._put("ready", b"ready")
        self.read("ready")

    def close(self) -> None:
        """See `Files.close`."""
        self._parts.shutdown()
        self._scratch.close()

    def _put(self, path: str, content: bytes | Path) -> None:
        with self._asking(writing=True), _bucket_is_there():
            obstore.put(
                self._bucket,
                path,
                content,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )

    def _fetch(self, path: str, file: Path) -> None:
        """Download an object in parts, all of which are of one version: it is written once."""

        def part(start: int) -> obstore.Bytes:
            with self._asking():
                return obstore.get_range(
                    self._bucket, path, start=start, end=min(start + _PART_BYTES, size)
                )

        with self._asking():
            size = obstore.head(self._bucket, path)["size"]
        with file.open("xb") as stream:
            for start in range(0, size, _PART_BYTES * _PARTS_AT_ONCE):
                end = min(start + _PART_BYTES * _PARTS_AT_ONCE, size)
                for piece in self._parts.map(part, range(start, end, _PART_BYTES)):
                    stream.write(piece)

    def _holds(self, path: str, content: bytes) -> bool:
        """Whether the content is there: a write whose answer is lost is refused the next time."""
        try:
            return self.read(path) == content
        except FileNotFoundError:
            return False

    @contextmanager
    def _asking(self, *, writing: bool = False) -> Iterator[None]:
        """One request: bounded by its client, behind a breaker, its failures named."""
        breaker = self._writes if writing else self._reads
        with self._breaker_lock:
            if not breaker.lets_through():
                raise StoreUnavailable("The store does not answer.")
        try:
            yield
        except (FileNotFoundError, AlreadyExistsError, PreconditionError):
            self._answered(breaker)
            raise
        except (PermissionDeniedError, UnauthenticatedError) as error:
            self._answered(breaker)
            raise StoreUnavailable("The store refuses this service's credentials.") from error
        except BaseError as error:
            with self._breaker_lock:
                breaker.failed()
            raise StoreUnavailable("The store failed, or took too long to answer.") from error
        self._answered(breaker)

    def _answered(self, breaker: Breaker) -> None:
        with self._breaker_lock:
            breaker.succeeded()

    def _try_conditions(self) -> None:
        path = f"conditions-{secrets.token_hex(8)}"
        honest = self.create(path, [b"1"]) and not self.create(path, [b"2"])
        if honest:
            version = self.read_versioned(path).version
            honest = self.replace(path, [b"3"], version) and not self.replace(path, [b"4"], version)
        self.remove(path)
        if not honest:
            raise StoreUnavailable(
                "The store's server does not honour conditional writes (If-None-Match, If-Match)."
            )


@contextmanager
def _bucket_is_there() -> Iterator[None]:
    """What is new is missing only where its bucket is."""
    try:
        yield
    except FileNotFoundError as error:
        raise StoreUnavailable("The store's bucket is not there.") from error


def _client(limits: ObjectLimits) -> "ClientConfig":
    """How to connect; a hospital's own certificates are trusted beside the system's."""
    options: ClientConfig = {
        # Whether to encrypt is said by the endpoint that the environment names.
        "allow_http": True,
        "connect_timeout": timedelta(seconds=limits.connect_seconds),
        "timeout": timedelta(seconds=limits.answer_seconds),
    }
    file = os.environ.get("AWS_CA_BUNDLE")
    if file:
        try:
            options["root_certificate"] = Path(file).read_bytes()
        except OSError:
            raise SettingsInvalid("AWS_CA_BUNDLE names no file that can be read.") from None
    return options


def _retry(limits: ObjectLimits) -> "RetryConfig":
    """When to try again: soon, for somebody waits."""
    return {
        "max_retries": limits.retries,
        "retry_timeout": timedelta(seconds=limits.answer_seconds),
        "backoff": {
            "init_backoff": timedelta(milliseconds=50),
            "max_backoff": timedelta(milliseconds=500),
            "base": 2,
        },
    }
