"""Reading JSON bodies: Content-Type, size, time and form are checked before anything is built."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from sammoe.api.negotiation import JSON
from sammoe.api.problems import InvalidFields
from sammoe.errors import MalformedBody, RequestTimeout, TooLarge, UnsupportedMediaType

IDLE_SECONDS: Final = 30.0
"""Longest silence within a body."""

JSON_SECONDS: Final = 30.0
"""For a JSON body as a whole."""

_MANY_ERRORS: Final = 1000
"""Listing more faults than this would cost more than reading the body did."""

_ModelT = TypeVar("_ModelT", bound=BaseModel)


async def read_json(
    request: Request, model: type[_ModelT], limit: int, *, optional: bool = False
) -> tuple[_ModelT, bytes]:
    """The body as a value of ``model``, and its bytes.

    Parameters
    ----------
    request
        Its ``Content-Type`` must be ``application/json``.
    model
        A closed model. Its parser also refuses nesting deeper than 200 and numbers that are not
        finite or have thousands of digits.
    limit
        Largest body, bytes.
    optional
        Whether an empty body stands for ``{}``.

    Raises
    ------
    UnsupportedMediaType, TooLarge, RequestTimeout
        Before the body is looked at.
    MalformedBody
        It is no JSON.
    InvalidFields
        It is JSON of another form; the pointers say where.
    """
    if request.headers.get("content-type") or not optional:
        require_type(request, JSON)
    body = b"".join([piece async for piece in read_pieces(request, limit, JSON_SECONDS)])
    try:
        return model.model_validate_json(body or b"{}" if optional else body), body
    except ValidationError as error:
        if error.error_count() > _MANY_ERRORS:
            raise MalformedBody("The body is far from the form that the API documents.") from None
        if error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid":
            raise MalformedBody("The body is no valid JSON, or is nested too deeply.") from None
        raise InvalidFields.from_body(error) from None


def require_type(request: Request, *allowed: str) -> str:
    """The media type of the body in lower case, without parameters.

    Raises
    ------
    UnsupportedMediaType
        It is none of ``allowed``, or the body is compressed.
    """
    media_type = media_type_of(request)
    if media_type not in allowed:
        raise UnsupportedMediaType(f"Send the body as Content-Type {' or '.join(allowed)}.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body without Content-Encoding.")
    return media_type


def media_type_of(request: Request) -> str:
    """What the Content-Type names, in lower case, without parameters; empty where it is missing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_pieces(request: Request, limit: int, seconds: float) -> AsyncIterator[bytes]:
    """The body in pieces as they come, counted.

    Raises
    ------
    TooLarge
        ``Content-Length`` says more than ``limit`` bytes (before the first is read), or more came.
    RequestTimeout
        Nothing came for :data:`IDLE_SECONDS`, or not all of it within ``seconds``: who sends byte
        by byte shall not hold a place for ever.
    ClientDisconnect
        The client went away before the end.
    """
    too_large = TooLarge(f"The body may have at most {limit} bytes.")
    if _declared_length(request) > limit:
        raise too_large
    received = 0
    pieces = request.stream()
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while True:
        try:
            async with asyncio.timeout_at(min(end, clock() + IDLE_SECONDS)):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            if clock() >= end:
                raise RequestTimeout(f"The body took longer than {seconds:.0f} s.") from None
            raise RequestTimeout(f"The body was silent for {IDLE_SECONDS:.0f} s.") from None
        received += len(piece)
        if received > limit:
            raise too_large
        yield piece


def _declared_length(request: Request) -> int:
    """``Content-Length``, 0 when there is none."""
    text = request.headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise MalformedBody("The Content-Length header must be a number.")
    return int(text)
