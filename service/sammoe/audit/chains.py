"""Where chains lie: a folder for each, with a file for each time that a process wrote on it.

::

    <folder>/<machine>-<number>/lock               held by the process that writes
    <folder>/<machine>-<number>/<n, 12 digits>.jsonl    lines from number n on

A process goes on with a chain of its machine that nobody holds, else begins one: so there are as
many as processes ever wrote at once. It never writes into a file of another's, whose end may be
torn; the first line of its own says how much is.
"""

import fcntl
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sammoe.audit.seals import FIRST, Line, read_line

MOST_LINE_BYTES: Final = 1 << 20
"""No line is longer."""

_FIRST_REACH: Final = 1 << 16

_FILE = re.compile(r"[0-9]{12}\.jsonl")
_CHAIN = re.compile(r"[A-Za-z0-9._-]{1,80}-[0-9]{1,6}")
_LOCK: Final = "lock"


@dataclass(frozen=True, slots=True)
class Head:
    """The last line of a chain: its number and seal; ``torn``: bytes after it that are no line."""

    n: int = 0
    seal: str = FIRST
    torn: int = 0


def chains_in(folder: Path) -> list[Path]:
    """Folders of all chains, by name; none where there is no such folder."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(place for place in folder.iterdir() if _CHAIN.fullmatch(place.name))
    return []


def files_of(chain: Path) -> list[Path]:
    """A chain's files in order."""
    return sorted(file for file in chain.iterdir() if _FILE.fullmatch(file.name))


def file_of(chain: Path, n: int) -> Path:
    """The file that begins with line ``n``."""
    return chain / f"{n:012}.jsonl"


def take_chain(folder: Path) -> tuple[Path, int]:
    """Take a chain of this machine that no process holds; its folder and the lock's handle.

    The handle holds the chain until it is closed, which the system does when the process ends.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    machine = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:80] or "machine"
    for number in range(1, 1_000_000):
        chain = folder / f"{machine}-{number}"
        chain.mkdir(exist_ok=True, mode=0o700)
        handle = os.open(chain / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        except OSError:
            os.close(handle)
            raise
        return chain, handle
    raise OSError("no chain is free")


def head_of(chain: Path) -> Head:
    """A chain's last line, as far as it can be read."""
    for file in reversed(files_of(chain)):
        line, torn = _last_line(file)
        if line is not None:
            return Head(line.n, line.seal, torn)
    return Head()


def set_aside(chain: Path, head: Head) -> None:
    """Rename what lies after a chain's head without one whole line: nothing was said in it."""
    for file in files_of(chain):
        if file.name >= file_of(chain, head.n + 1).name:
            file.replace(file.with_suffix(f".{time.time_ns()}.torn"))


def heads_beside(chain: Path) -> dict[str, list[int | str]]:
    """Number and seal of the last line of every other chain, by its name."""
    heads = {other.name: head_of(other) for other in chains_in(chain.parent)}
    del heads[chain.name]
    return {name: [head.n, head.seal] for name, head in heads.items() if head.n}


def lines_of(file: Path) -> Iterator[tuple[int, bytes]]:
    """Where each line of a file begins, and the line with its end; the last may have none."""
    offset = 0
    with file.open("rb") as stream:
        while text := stream.readline(MOST_LINE_BYTES):
            yield offset, text
            offset += len(text)


def _last_line(file: Path) -> tuple[Line | None, int]:
    """The last whole line, and how many bytes come after it. Reads no more than it needs."""
    size = file.stat().st_size
    reach = _FIRST_REACH
    with file.open("rb") as stream:
        while True:
            begin = max(0, size - reach)
            stream.seek(begin)
            ends, after = stream.read(size - begin).split(b"\n"), 0
            # What follows the last end is no line, and of the first the beginning may be missing.
            after = len(ends.pop())
            while len(ends) > (begin > 0):
                text = ends.pop()
                if (line := read_line(text)) is not None:
                    return line, after
                after += len(text) + 1
            if begin == 0:
                return None, size
            reach *= 8
