"""Refusals as ``application/problem+json`` (RFC 9457).

Every answer of status 400 and above has this one shape. ``code`` is stable, ``detail`` is for
people, and neither repeats a value that the client sent: a value could name a patient.
"""

import math
from collections.abc import Iterable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sammoe.errors import InvalidInput, SammoeError

MEDIA_TYPE: Final = "application/problem+json"

MAX_ERRORS: Final = 32
"""At most so many faults of one request are listed."""

PROBLEM: Final = "problem_code"
"""Name in a request's state under which metrics and traces find the code of its problem."""

_KEY_CHARACTERS: Final = 64


class FieldProblem(BaseModel):
    """One fault at one place of a request."""

    model_config = ConfigDict(frozen=True)

    pointer: str | None = Field(
        default=None, description="JSON pointer (RFC 6901) into the body", examples=["/points/3"]
    )
    parameter: str | None = Field(
        default=None, description="name of the query parameter", examples=["limit"]
    )
    code: str = Field(description="stable name of the fault", examples=["float_type"])
    detail: str = Field(examples=["Input should be a valid number"])


class Problem(BaseModel):
    """Why a request was refused, and what to do."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(examples=["urn:sammoe:problem:point_outside"])
    title: str = Field(examples=["A point lies outside of the volume."])
    status: int = Field(ge=400, le=599, examples=[422])
    code: str = Field(description="stable; meant for programs", examples=["point_outside"])
    detail: str = Field(description="meant for people; may change")
    request_id: str = Field(description="also in X-Request-Id; quote it when asking for help")
    errors: tuple[FieldProblem, ...] = Field(
        default=(), description="the places at fault, where they can be told"
    )


class InvalidFields(InvalidInput):
    """The request has faults at named places.

    Parameters
    ----------
    faults
        What is wrong and where, in the order found.
    """

    def __init__(self, faults: Sequence[FieldProblem]) -> None:
        self.faults = tuple(faults[:MAX_ERRORS])
        super().__init__("The request does not have the form that the API documents; see errors.")

    @classmethod
    def from_body(cls, error: ValidationError) -> "InvalidFields":
        """From a request model that refused a JSON body."""
        return cls(
            [
                FieldProblem(
                    pointer=json_pointer(fault["loc"]), code=fault["type"], detail=_text(fault)
                )
                for fault in error.errors(
                    include_url=False, include_input=False, include_context=False
                )
            ]
        )

    @classmethod
    def from_parameters(cls, error: RequestValidationError) -> "InvalidFields":
        """From query parameters; the only ones that FastAPI itself validates here."""
        return cls(
            [
                FieldProblem(
                    parameter=_printable(str(fault["loc"][-1])),
                    code=str(fault["type"]),
                    detail=_text(fault),
                )
                for fault in error.errors()
            ]
        )

    @classmethod
    def from_names(cls, names: Iterable[str]) -> "InvalidFields":
        """From query parameters of a route that has none."""
        return cls(
            [
                FieldProblem(
                    parameter=_printable(name),
                    code="extra_forbidden",
                    detail="Extra inputs are not permitted",
                )
                for name in names
            ]
        )


class _Protocol(SammoeError):
    """A refusal by the HTTP framework: no such route, or not this method."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(f"{status.description or status.phrase}.")
        self.http = status


def json_pointer(path: Sequence[str | int]) -> str:
    """RFC 6901 pointer of a path of member names and indices, e.g. ``/points/3``.

    Names that the client made up are cut and stripped of control characters.
    """
    return "".join(
        "/" + _printable(str(part)).replace("~", "~0").replace("/", "~1") for part in path
    )


def problem_response(error: SammoeError, request_id: str, *, status: int | None = None) -> Response:
    """The HTTP answer for a refusal, with the headers that go with its status.

    ``status``: in place of the error's own, where a client of another protocol expects that.
    """
    status = error.status if status is None else status
    code, title = _code(error), _title(type(error))
    if isinstance(error, _Protocol):
        status, title = error.http, f"{error.http.phrase}."
    faults: tuple[FieldProblem, ...] = ()
    if isinstance(error, InvalidFields):
        faults = error.faults
    elif error.pointer is not None:
        faults = (FieldProblem(pointer=error.pointer, code=code, detail=error.detail),)
    problem = Problem(
        type=f"urn:sammoe:problem:{code}",
        title=title,
        status=status,
        code=code,
        detail=error.detail,
        request_id=request_id,
        errors=faults,
    )
    return Response(
        problem.model_dump_json(exclude_none=True),
        status,
        media_type=MEDIA_TYPE,
        headers=_headers(status, error.retry_seconds),
    )


def internal_problem(request_id: str) -> Response:
    """The answer to a fault of ours: says nothing about it but the id to look for in the log."""
    return problem_response(_Protocol(HTTPStatus.INTERNAL_SERVER_ERROR), request_id)


def refuse(
    error: SammoeError, state: MutableMapping[str, Any], *, status: int | None = None
) -> Response:
    """`problem_response` to the request of this state, which notes the code for metrics."""
    state[PROBLEM] = _code(error)
    return problem_response(error, state["request_id"], status=status)


def fail(state: MutableMapping[str, Any]) -> Response:
    """`internal_problem`, as `refuse`."""
    return refuse(_Protocol(HTTPStatus.INTERNAL_SERVER_ERROR), state)


def install(app: FastAPI) -> None:
    """Answer the product's and the framework's exceptions as problems."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, SammoeError)
        return refuse(error, request.scope["state"])

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return refuse(InvalidFields.from_parameters(error), request.scope["state"])

    async def unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = refuse(_Protocol(HTTPStatus(error.status_code)), request.scope["state"])
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(SammoeError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unrouted)


def _headers(status: int, retry_seconds: float) -> dict[str, str]:
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="sammoe"'}
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return {"Retry-After": str(math.ceil(retry_seconds))}
    if status in {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT}:
        return {"Connection": "close"}
    return {}


def _code(error: SammoeError) -> str:
    return error.http.name.lower() if isinstance(error, _Protocol) else error.code


def _title(kind: type[SammoeError]) -> str:
    return (kind.__doc__ or kind.code).strip().splitlines()[0]


def _text(fault: Any) -> str:
    return str(fault["msg"]).removeprefix("Value error, ")


def _printable(text: str) -> str:
    return "".join(c for c in text[:_KEY_CHARACTERS] if c.isprintable())
