"""Ids of records: sorted by time of making, and not to be guessed."""

import base64
import re
import secrets
import threading
import time

from sammoe.errors import NotFound

_PATTERN = re.compile(r"[0-9a-v]{26}")


class Ids:
    """Makes ids: 48 bits of milliseconds since 1970, then 80 random bits, in base32hex.

    26 characters ``0-9a-v`` (RFC 4648, section 7, lower case, no padding), whose order as text is
    that of the numbers. One maker's ids ascend strictly, even if the clock is set back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def new(self) -> str:
        """Return a new id."""
        with self._lock:
            self._last = max(time.time_ns() // 1_000_000, self._last + 1)
            milliseconds = self._last
        number = milliseconds.to_bytes(6, "big") + secrets.token_bytes(10)
        return base64.b32hexencode(number).decode().rstrip("=").lower()


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
