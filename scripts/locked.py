"""What a lock file pins."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"^\s+#\s+(?:via\s*)?(\S.*)?$")


@dataclass(frozen=True)
class Pin:
    """One package: its name as PyPI normalises it, version, SHA-256 of its files, who needs it."""

    name: str
    version: str
    hashes: tuple[str, ...]
    needed_by: tuple[str, ...]


def pins(lock: Path) -> Iterator[Pin]:
    """The packages of a lock that pip-compile wrote, in its order."""
    head: re.Match[str] | None = None
    hashes: list[str] = []
    needed: list[str] = []
    for line in [*lock.read_text().splitlines(), "end==0"]:
        if found := _PIN.match(line):
            if head is not None:
                yield Pin(normalised(head[1]), head[2], tuple(hashes), tuple(needed))
            head, hashes, needed = found, [], []
        elif digest := _HASH.search(line):
            hashes.append(digest[1])
        elif (via := _VIA.match(line)) and via[1]:
            needed.append(via[1])


def normalised(name: str) -> str:
    """As PyPI names it."""
    return re.sub(r"[-_.]+", "-", name).lower()
