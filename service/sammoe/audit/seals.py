"""Lines of the audit log, each sealed together with the one before.

A line is one JSON object. ``n`` counts the lines of a chain, ``previous`` is the seal of the line
before, and ``seal``, always last, is a digest of all that stands before it. With a key the digest
is an HMAC: who can write the files but has no key can not make a line that fits.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sammoe.errors import SettingsInvalid

FIRST: Final = "0" * 64
"""What the first line of a chain has in place of the seal before."""

MIN_KEY_BYTES: Final = 32

_SEAL = re.compile(rb',"seal":"([0-9a-f]{64})"\}')
_SEAL_BYTES = len(b',"seal":""}') + 64


@dataclass(frozen=True, slots=True, repr=False)
class Sealer:
    """Makes seals; ``key``: of the HMAC, or None for a plain digest."""

    key: bytes | None = None

    @classmethod
    def from_file(cls, path: Path | None) -> "Sealer":
        """With the key that a file holds (all its bytes but white space at the end), if one is
        given.

        Raises
        ------
        SettingsInvalid
            The file can not be read, or the key is short.
        """
        if path is None:
            return cls()
        try:
            key = path.read_bytes().rstrip()
        except OSError as error:
            raise SettingsInvalid(f"{path}: {error.strerror}") from None
        if len(key) < MIN_KEY_BYTES:
            raise SettingsInvalid(
                f"{path}: a key of the audit log has {MIN_KEY_BYTES} bytes or more"
            )
        return cls(key)

    @property
    def name(self) -> str:
        """How lines are sealed, with which key: ``sha256``, or ``hmac-sha256:`` and 8 digits."""
        if self.key is None:
            return "sha256"
        return f"hmac-sha256:{hashlib.sha256(b'key id' + self.key).hexdigest()[:8]}"

    def seal(self, content: bytes) -> str:
        """The seal (hex) of a line's content."""
        if self.key is None:
            return hashlib.sha256(content).hexdigest()
        return hmac.new(self.key, content, hashlib.sha256).hexdigest()

    def pseudonym(self, uid: str) -> str:
        """What stands for a UID in lines where it shall not be read: 32 hex digits."""
        key = b"sammoe" if self.key is None else self.key
        return hmac.new(key, b"uid " + uid.encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was read; ``content`` is what its seal is made of."""

    said: Mapping[str, Any]
    content: bytes
    seal: str

    @property
    def n(self) -> int:
        """Its number in the chain."""
        return int(self.said["n"])

    @property
    def previous(self) -> str:
        """Seal of the line before."""
        return str(self.said["previous"])


def write_line(said: Mapping[str, Any], sealer: Sealer) -> tuple[bytes, str]:
    """A line with its end, and its seal."""
    content = json.dumps(said, separators=(",", ":")).encode()
    seal = sealer.seal(content)
    return content[:-1] + f',"seal":"{seal}"}}\n'.encode(), seal


def read_line(text: bytes) -> Line | None:
    """A line without its end; None where that is no line. Its seal is not checked."""
    found = _SEAL.fullmatch(text[-_SEAL_BYTES:])
    if found is None:
        return None
    content = text[:-_SEAL_BYTES] + b"}"
    try:
        said = json.loads(content)
        line = Line(said, content, found[1].decode())
        return line if line.n > 0 and len(line.previous) == len(FIRST) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
