"""The OpenAPI document: what FastAPI sees of the routes, and the schemas that it can not see."""

from collections.abc import Sequence
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sammoe import __version__
from sammoe.access import Access
from sammoe.api.answers import (
    EmbeddingsOut,
    MeasuredOut,
    ResultOut,
    ResultPage,
    SegmentationOut,
    SegmentationPage,
    SeriesPage,
    StoredPage,
    StudyOut,
    VolumeOut,
    VolumePage,
)
from sammoe.api.capabilities import NOTICE, Capabilities
from sammoe.api.documentation import problem_answers
from sammoe.api.problems import Problem
from sammoe.api.schemas import (
    EmbeddingsIn,
    ResultIn,
    SegmentationIn,
    SeriesQueryIn,
    StoreIn,
    StudyIn,
    VolumeIn,
)

TITLE: Final = "SAM-Med3D-MoE"

DESCRIPTION: Final = (
    "Click on a structure in a CT or MR scan, get its 3D mask."
    f" {NOTICE}"
    " Every refusal is application/problem+json with a stable code and the request's id."
)

_REQUESTS: Final[tuple[type[BaseModel], ...]] = (
    EmbeddingsIn,
    ResultIn,
    SegmentationIn,
    SeriesQueryIn,
    StudyIn,
    StoreIn,
    VolumeIn,
)
_ANSWERS: Final[tuple[type[BaseModel], ...]] = (
    Capabilities,
    EmbeddingsOut,
    MeasuredOut,
    Problem,
    ResultOut,
    ResultPage,
    SegmentationOut,
    SegmentationPage,
    SeriesPage,
    StudyOut,
    StoredPage,
    VolumeOut,
    VolumePage,
)

_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}

_OPEN: Final = frozenset({"/livez", "/readyz"})


def install(app: FastAPI, routers: Sequence[APIRouter], access: Access) -> None:
    """Make ``app.openapi()`` give the whole document; made once, when it is first asked for."""

    found = [route for router in routers for route in router.routes]
    routes = [route for route in found if isinstance(route, APIRoute)]

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(routes, needs_caller=access.is_needed)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def document(routes: Sequence[APIRoute], *, needs_caller: bool) -> dict[str, Any]:
    """The OpenAPI 3.1 document.

    Parameters
    ----------
    routes
        Each for one method.
    needs_caller
        Whether every route under ``/v1`` is said to need a key or token.
    """
    found: dict[str, Any] = get_openapi(
        title=TITLE, version=__version__, description=DESCRIPTION, routes=routes
    )
    components = found.setdefault("components", {})
    components["schemas"] = components.get("schemas", {}) | _schemas()
    components["responses"] = problem_answers()
    components["securitySchemes"] = _SCHEMES
    for route in routes:
        for method in route.methods or ():
            operation = found["paths"].get(route.path, {}).get(method.lower())
            if operation is not None:
                _say_what_fastapi_can_not(operation, route, needs_caller=needs_caller)
    return found


def _say_what_fastapi_can_not(
    operation: dict[str, Any], route: APIRoute, *, needs_caller: bool
) -> None:
    # Answers and bodies as written: FastAPI leaves out every null of an example.
    operation["responses"] = {str(status): said for status, said in route.responses.items()}
    if "requestBody" in operation:
        operation["requestBody"] = (route.openapi_extra or {})["requestBody"]
    open_to_all = route.path in _OPEN or not needs_caller
    operation["security"] = [] if open_to_all else [{name: []} for name in _SCHEMES]


def _schemas() -> dict[str, Any]:
    _, definitions = models_json_schema(
        [(model, "validation") for model in _REQUESTS]
        + [(model, "serialization") for model in _ANSWERS],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas
