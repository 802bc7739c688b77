"""Whose regions a Triton server has mapped, and whether that process still lives.

A region's name holds its owner's id, and each owner holds the lock of a file in ``/dev/shm``, which
the system lets go when the process ends in whatever way. All who share memory with one server see
these files, in whichever container; the number of a process would mean another one there.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from sammoe.engine.triton_regions import SYSTEM

_FILE = re.compile(r"sammoe-owner-([0-9a-f]{12})")


@dataclass(frozen=True)
class Owner:
    """A process that owns regions: this one, or a dead one.

    Attributes
    ----------
    id
        Its own, of 12 hexadecimal digits.
    lock
        Handle of its file, whose lock this process holds.
    """

    id: str
    lock: int

    @classmethod
    def begin(cls) -> "Owner":
        """This process, from now on.

        Raises
        ------
        OSError
            There is no memory to share.
        """
        name = secrets.token_hex(6)
        new = SYSTEM / f"sammoe-owner-{name}.new"
        lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        new.rename(new.with_suffix(""))  # it appears with its lock on
        return cls(name, lock)

    @classmethod
    def dead(cls) -> "list[Owner]":
        """Those that ended and left something; nobody else is given them until their `end`."""
        found = []
        for path in SYSTEM.iterdir():
            if (match := _FILE.fullmatch(path.name)) is None:
                continue
            with suppress(OSError):  # gone meanwhile, or of another user
                lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(lock)
                else:
                    found.append(cls(match[1], lock))
        return found

    def new_name(self) -> str:
        """A name for a region of its own."""
        return f"{self._prefix}{secrets.token_hex(6)}"

    def names(self, mapped: Iterable[str]) -> set[str]:
        """Which regions are its own."""
        return {name for name in mapped if name.startswith(self._prefix)}

    def end(self, *, left: bool) -> None:
        """Let its lock go; ``left``: regions of its own may still be mapped."""
        if not left:
            (SYSTEM / f"sammoe-owner-{self.id}").unlink(missing_ok=True)
        os.close(self.lock)

    @property
    def _prefix(self) -> str:
        return f"sammoe-inputs-{self.id}-"
