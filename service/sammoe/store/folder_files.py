"""Files in a folder of a POSIX file system, each on the disk when its writing returns."""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sammoe.store.files import Entry, Piece, Versioned
from sammoe.store.scratch import Scratch, flush, flush_folder, locked, make_folder, write_flushed


class FolderFiles:
    """See `Files`. Several processes may share the folder.

    What a process left unfinished when it died is removed when the next one starts.

    Parameters
    ----------
    root
        Made when missing, readable by this user alone.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root
        self._scratch = Scratch(root)

    @property
    def temporary_folder(self) -> Path:
        """See `Files.temporary_folder`."""
        return self._scratch.folder

    def read(self, path: str) -> bytes:
        """See `Files.read`."""
        return (self._root / path).read_bytes()

    def read_start(self, path: str, size: int) -> bytes:
        """See `Files.read_start`."""
        with (self._root / path).open("rb", buffering=0) as stream:
            return stream.read(size)

    def read_versioned(self, path: str) -> Versioned:
        """See `Files.read_versioned`."""
        content = self.read(path)
        return Versioned(content, hashlib.sha256(content).hexdigest())

    def exists(self, path: str) -> bool:
        """See `Files.exists`."""
        return (self._root / path).exists()

    def local(self, path: str) -> Path:
        """See `Files.local`."""
        return self._root / path

    def forget(self, path: str) -> None:
        """See `Files.forget`."""

    def write(self, path: str, pieces: Iterable[Piece]) -> None:
        """See `Files.write`."""
        with self._scratch.file() as file:
            write_flushed(file, pieces)
            self._place(os.replace, file, path)

    def adopt(self, path: str, file: Path) -> None:
        """See `Files.adopt`."""
        flush(file)
        self._place(os.replace, file, path)

    def create(self, path: str, pieces: Iterable[Piece]) -> bool:
        """See `Files.create`."""
        content = list(pieces)
        with self._scratch.file() as file:
            write_flushed(file, content)
            try:
                self._place(os.link, file, path)
            except FileExistsError:
                return self._holds(path, content)
        return True

    def replace(self, path: str, pieces: Iterable[Piece], version: str) -> bool:
        """See `Files.replace`."""
        content = list(pieces)
        with self._scratch.file() as file:
            write_flushed(file, content)
            with self._alone():
                try:
                    current = self.read_versioned(path)
                except FileNotFoundError:
                    return False
                if current.version != version:
                    return self._holds(path, content)
                self._place(os.replace, file, path)
        return True

    def remove(self, path: str) -> None:
        """See `Files.remove`."""
        target = self._root / path
        with suppress(FileNotFoundError):
            with self._alone():
                target.unlink()
            flush_folder(target.parent)
            self._remove_empty(target.parent)

    def remove_all(self, folder: str) -> None:
        """See `Files.remove_all`."""
        with suppress(FileNotFoundError):
            with self._alone():
                self._scratch.discard(self._root / folder)
            self._remove_empty((self._root / folder).parent)

    def names(self, folder: str) -> list[str]:
        """See `Files.names`."""
        try:
            return os.listdir(self._root / folder)
        except FileNotFoundError:
            return []

    def entries(self, folder: str) -> Iterator[Entry]:
        """See `Files.entries`."""
        for parent, _, names in os.walk(self._root / folder):
            for name in names:
                path = Path(parent, name)
                try:
                    found = path.stat()
                except FileNotFoundError:
                    continue
                modified = datetime.fromtimestamp(found.st_mtime, UTC)
                yield Entry(path.relative_to(self._root).as_posix(), found.st_size, modified)

    def check(self) -> None:
        """See `Files.check`."""
        path = self.temporary_folder / f"ready-{secrets.token_hex(8)}"
        try:
            path.write_bytes(b"ready")
        finally:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """See `Files.close`."""
        self._scratch.close()

    def _alone(self) -> AbstractContextManager[None]:
        """Of all processes: so that what is removed does not come back by being replaced."""
        return locked(self._root / "tmp" / "replacing")

    def _place(self, how: Callable[[Path, Path], None], file: Path, path: str) -> None:
        """Rename or link a flushed file to its place, whose folder may be missing or vanish."""
        target = self._root / path
        while True:
            try:
                how(file, target)
                break
            except FileNotFoundError:
                if not file.exists():
                    raise
                with suppress(FileNotFoundError):
                    make_folder(target.parent)
        # Where it vanished again, somebody removed what had just been written.
        with suppress(FileNotFoundError):
            flush_folder(target.parent)

    def _remove_empty(self, folder: Path) -> None:
        while folder != self._root:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def _holds(self, path: str, content: list[Piece]) -> bool:
        try:
            return self.read(path) == b"".join(content)
        except FileNotFoundError:
            return False
