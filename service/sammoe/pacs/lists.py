"""What DICOMweb servers say in DICOM's JSON (PS3.18, F): it may be long, and it may be anything."""

import json
from typing import Any

from sammoe.errors import TooLarge
from sammoe.pacs.connection import Answer


async def read(answer: Answer, limit: int) -> bytes:
    """An answer's body.

    Raises
    ------
    TooLarge
        It has more than ``limit`` bytes.
    PacsError, PacsUnavailable
        See `Connection.open`.
    """
    body = bytearray()
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > limit:
            raise TooLarge(f"The DICOMweb server's answer has more than {limit} bytes.")
    return bytes(body)


def parsed(text: bytes) -> Any:
    """JSON; None where it is none. Blocks, but lets the event loop go on when run beside it."""
    try:
        return json.loads(text, object_hook=_same)
    except (ValueError, RecursionError):
        return None


def items(one: Any, tag: str) -> list[Any]:
    """The values of an element; none where it is missing, or no such thing."""
    element = one.get(tag) if isinstance(one, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def value(one: Any, tag: str) -> Any:
    """The first value of an element; None where it is missing."""
    values = items(one, tag)
    return values[0] if values else None


def _same(one: dict[str, Any]) -> dict[str, Any]:
    # The parser is C and lets go of the interpreter only where it calls Python: here. Without it
    # a list of 16 MiB stops the event loop for half a second, from whatever thread.
    return one
