"""Local copies of large files: fetched once, the least used of them dropped for want of room."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path


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
        self._fetching: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, path: str, fetch: Callable[[Path], None]) -> Path:
        """Return the copy of ``path``; ``fetch`` writes it, if there is none, to a new file.

        Of many who ask at once, one fetches. Who has opened a copy has it, even if it is dropped.
        """
        with self._lock:
            fetching = self._fetching.setdefault(path, threading.Lock())
        with fetching:
            with self._lock:
                if path in self._sizes:
                    self._sizes.move_to_end(path)
                    return self._file(path)
            unfinished = self._file(path).with_suffix(".part")
            try:
                fetch(unfinished)
                return self.adopt(path, unfinished)
            finally:
                unfinished.unlink(missing_ok=True)

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
        """Remove a copy, if there is one."""
        with self._lock:
            if path in self._sizes:
                self._drop(path)

    def _drop(self, path: str) -> None:
        del self._sizes[path]
        self._fetching.pop(path, None)
        self._file(path).unlink(missing_ok=True)

    def _file(self, path: str) -> Path:
        return self._folder / sha256(path.encode()).hexdigest()
