"""Server-sent events out of pieces of bytes."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One event: its name, and its data."""

    name: str
    data: bytes


class Events:
    """Collects pieces until an event is whole."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that this piece completes."""
        self._rest = (self._rest + piece).replace(b"\r\n", b"\n")
        while b"\n\n" in self._rest:
            block, _, self._rest = self._rest.partition(b"\n\n")
            name, data = "message", b""
            for line in block.split(b"\n"):
                key, _, value = line.partition(b": ")
                if key == b"event":
                    name = value.decode()
                elif key == b"data":
                    data += value
            if data:
                yield Event(name, data)
