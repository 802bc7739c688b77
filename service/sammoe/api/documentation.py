"""Building blocks of the OpenAPI document: bodies, answers, problems, each with an example.

Routes read their bodies and write their answers themselves, so that nothing is parsed or checked
twice; what FastAPI can not see is therefore said here.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from sammoe.api import problems
from sammoe.api.context import REQUEST_ID
from sammoe.api.examples import PROGRESS, SEGMENTATION_ID
from sammoe.api.idempotency import HEADER as IDEMPOTENCY_KEY
from sammoe.api.idempotency import REPLAYED
from sammoe.api.negotiation import EVENTS, JSON, MASKS
from sammoe.api.problem_examples import PROBLEMS
from sammoe.api.timing import HEADER as SERVER_TIMING
from sammoe.api.uploads import FORM, OCTETS

Responses = dict[int | str, dict[str, Any]]

_ALWAYS: Final = (401, 403, 421, 422, 500, 503)
"""Refusals that every route under /v1 can give."""

_STRING: Final = {"type": "string"}
_BINARY: Final = {"type": "string", "format": "binary"}

_HEADERS: Final[dict[str, dict[str, Any]]] = {
    REQUEST_ID: {"description": "the request's id in the service's log", "schema": _STRING},
    "Location": {"description": "address of the record", "schema": _STRING},
    SERVER_TIMING: {"description": "phases of the work, ms", "schema": _STRING},
    REPLAYED: {"description": "`true`: kept from the first request", "schema": _STRING},
    SEGMENTATION_ID: {"description": "the segmentation's id", "schema": _STRING},
}


def refusals(*statuses: int) -> Responses:
    """Problem answers: those of every route, and further ones of this route."""
    return {
        status: {"$ref": f"#/components/responses/{_problem_name(status)}"}
        for status in sorted({*_ALWAYS, *statuses})
    }


def problem_answers() -> dict[str, dict[str, Any]]:
    """What :func:`refusals` refers to, for the document's ``components/responses``."""
    return {_problem_name(status): _problem(status) for status in PROBLEMS}


def answer(
    status: int, description: str, model: type[BaseModel], example: Any, *headers: str
) -> Responses:
    """A JSON answer."""
    content = {JSON: {"schema": reference(model), "example": example}}
    return {status: _answer(description, content, headers)}


def mask(
    status: int, description: str, *headers: str, with_json: Responses | None = None
) -> Responses:
    """A mask in any of its forms; with JSON as a further form."""
    content: dict[str, Any] = {} if with_json is None else dict(with_json[status]["content"])
    content |= {form: {"schema": _BINARY} for form in MASKS}
    if with_json is not None:
        content[EVENTS] = {"schema": _STRING, "example": PROGRESS}
    return {status: _answer(description, content, headers)}


def steps(status: int, description: str, with_json: Responses, example: str) -> Responses:
    """A JSON answer, or events."""
    content = dict(with_json[status]["content"])
    content[EVENTS] = {"schema": _STRING, "example": example}
    return {status: with_json[status] | {"description": description, "content": content}}


def file(status: int, description: str, *forms: str) -> Responses:
    """A file in one of several forms."""
    content = {form: {"schema": _BINARY} for form in forms}
    return {status: _answer(description, content, ())}


def text(description: str, media_type: str) -> Responses:
    """A plain answer."""
    return {200: _answer(description, {media_type: {"schema": _STRING}}, ())}


def nothing(description: str) -> Responses:
    """An answer without a body."""
    return {204: _answer(description, {}, ())}


def json_body(
    model: type[BaseModel], named: Mapping[str, Any], *, required: bool
) -> dict[str, Any]:
    """``openapi_extra`` of a route with a JSON body, with worked examples by name."""
    content = {JSON: {"schema": reference(model), "examples": _examples(named)}}
    return {
        "requestBody": {"required": required, "content": content},
        "parameters": [_IDEMPOTENCY],
    }


def file_body(
    model: type[BaseModel] | None = None, named: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``openapi_extra`` of an upload; with a model, a JSON body can say instead where to get it."""
    content: dict[str, Any] = {OCTETS: {"schema": _BINARY}}
    form = {
        "type": "object",
        "required": ["file"],
        "additionalProperties": False,
        "properties": {"file": {"type": "array", "minItems": 1, "items": _BINARY}},
    }
    content[FORM] = {"schema": form}
    if model is not None:
        content[JSON] = {"schema": reference(model), "examples": _examples(named or {})}
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [_IDEMPOTENCY],
    }


def keyed() -> dict[str, Any]:
    """``openapi_extra`` of a POST without a body."""
    return {"parameters": [_IDEMPOTENCY]}


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Where the document keeps a model's schema."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


_IDEMPOTENCY: Final = {
    "name": IDEMPOTENCY_KEY,
    "in": "header",
    "required": False,
    "description": "kept for 24 h: the same request under the same key is done once",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "2f1c7c52-click-1",
}


def _answer(
    description: str, content: Mapping[str, Any], headers: tuple[str, ...]
) -> dict[str, Any]:
    named = {name: _HEADERS[name] for name in (REQUEST_ID, *headers)}
    return {
        "description": description,
        "headers": named,
        **({"content": content} if content else {}),
    }


def _problem_name(status: int) -> str:
    return f"Problem{status}"


def _problem(status: int) -> dict[str, Any]:
    content = {
        "schema": reference(problems.Problem),
        "examples": _examples(PROBLEMS[status]),
    }
    return _answer(HTTPStatus(status).phrase, {problems.MEDIA_TYPE: content}, ())


def _examples(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in named.items()}
