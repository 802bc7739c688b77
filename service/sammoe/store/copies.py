"""Local copies of large files: fetched once, the least used of them dropped for want of room."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path


@dataclass
class _Turn:
    """Of those who want one copy: ``forgotten``, whether it is not to be kept."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    forgotten: bool = False


class Copies:
    """Copies of files that never change, for any thread of one process.

    Parameters
    ----------
    folder
        For them alone; made when missing.
    limit_bytes
        Of all copies together. The one in use may be larger.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._limit = limit_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._turns: dict[str, _Turn] = {}
        self._lock = threading.Lock()

    def get(self, path: str, fetch: Callable[[Path], None]) -> Path:
        """Return the copy of ``path``; ``fetch`` writes it, if there is none, to a new file.

        Of many who ask at once, one fetches. Who has opened a copy has it, even if it is dropped.
        """
        with self._turn(path) as turn:
            with self._lock:
                if path in self._sizes:
                    self._sizes.move_to_end(path)
                    return self._file(path)
            unfinished = self._file(path).with_suffix(".part")
            try:
                fetch(unfinished)
                kept = self.adopt(path, unfinished)
            finally:
                unfinished.unlink(missing_ok=True)
            if turn.forgotten:
                self.forget(path)
            return kept

    def adopt(self, path: str, file: Path) -> Path:
        """Make a finished file the copy of ``path``."""
        size = file.stat().st_size
        kept = file.replace(self._file(path))
        with self._lock:
            self._sizes[path] = size
            while sum(self._sizes.values()) > self._limit and len(self._sizes) > 1:
                self._drop(next(iter(self._sizes)))
        return kept

    def forget(self, path: str) -> None:
        """Remove a copy, if there is one or is about to be."""
        with self._lock:
            if path in self._turns:
                self._turns[path].forgotten = True
            if path in self._sizes:
                self._drop(path)

    @contextmanager
    def _turn(self, path: str) -> Iterator["_Turn"]:
        """Wait for those who fetch the same; remembered as long as anybody waits."""
        with self._lock:
            turn = self._turns.setdefault(path, _Turn())
            turn.users += 1
        try:
            with turn.lock:
                yield turn
        finally:
            with self._lock:
                turn.users -= 1
                if not turn.users:
                    del self._turns[path]

    def _drop(self, path: str) -> None:
        del self._sizes[path]
        self._file(path).unlink(missing_ok=True)

    def _file(self, path: str) -> Path:
        return self._folder / sha256(path.encode()).hexdigest()
