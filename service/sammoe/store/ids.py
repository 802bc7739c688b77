"""Ids of records: sorted by time of making, and not to be guessed."""

import base64
import hashlib
import re
import secrets
import threading
import time

from sammoe.errors import NotFound

_PATTERN = re.compile(r"[0-9a-v]{26}")
_TIME_BYTES = 6
_RANDOM_BYTES = 10
_MARK_BYTES = 5


class Ids:
    """Makes ids: 48 bits of milliseconds since 1970, then 80 random bits, in base32hex.

    26 characters ``0-9a-v`` (RFC 4648, section 7, lower case, no padding), whose order as text is
    that of the numbers. One maker's ids ascend strictly, even if the clock is set back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def new(self, within: str = "") -> str:
        """Return a new id.

        ``within``: id of a record that the new one belongs to; `is_within` can tell it from most
        others then. Half of the random bits are given up for that.
        """
        with self._lock:
            self._last = max(time.time_ns() // 1_000_000, self._last + 1)
            milliseconds = self._last
        mark = _mark(within) if within else secrets.token_bytes(_MARK_BYTES)
        tail = mark + secrets.token_bytes(_RANDOM_BYTES - _MARK_BYTES)
        return _text(milliseconds.to_bytes(_TIME_BYTES, "big") + tail)


def is_within(name: str, other: str) -> bool:
    """Whether an id may have been made within ``other``; else, certainly not."""
    number = base64.b32hexdecode(f"{name.upper()}======")
    return number[_TIME_BYTES : _TIME_BYTES + _MARK_BYTES] == _mark(other)


def earliest(seconds: float) -> str:
    """Return the least id of a time (s since 1970): smaller ids were made before."""
    milliseconds = max(0, int(1000 * seconds))
    return _text(milliseconds.to_bytes(_TIME_BYTES, "big") + bytes(_RANDOM_BYTES))


def is_id(text: str) -> bool:
    """Whether ``text`` has the form of an id, and so is safe in a path."""
    return _PATTERN.fullmatch(text) is not None


def check_id(text: str, what: str) -> str:
    """Return ``text`` if it is an id; every other text is a record that is not there.

    Raises
    ------
    NotFound
        With the same words as for a missing record.
    """
    if not is_id(text):
        raise not_found(what)
    return text


def not_found(what: str) -> NotFound:
    """Return the one answer for a record that is missing and for one of somebody else."""
    return NotFound(f"There is no such {what}.")


def _mark(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:_MARK_BYTES]


def _text(number: bytes) -> str:
    return base64.b32hexencode(number).decode().rstrip("=").lower()
