"""The OpenAPI document: what FastAPI sees of the routes, and the schemas that it can not see."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sammoe import __version__
from sammoe.api.auth import KeyRing
from sammoe.api.capabilities import NOTICE, Capabilities
from sammoe.api.problems import Problem
from sammoe.api.schemas import (
    EmbeddingsIn,
    EmbeddingsOut,
    MeasuredOut,
    SegmentationIn,
    SegmentationOut,
    SegmentationPage,
    VolumeOut,
    VolumePage,
)

TITLE: Final = "SAM-Med3D-MoE"

DESCRIPTION: Final = (
    "Click on a structure in a CT or MR scan, get its 3D mask."
    f" {NOTICE}"
    " Every refusal is application/problem+json with a stable code and the request's id."
)

_REQUESTS: Final[tuple[type[BaseModel], ...]] = (EmbeddingsIn, SegmentationIn)
_ANSWERS: Final[tuple[type[BaseModel], ...]] = (
    Capabilities,
    EmbeddingsOut,
    MeasuredOut,
    Problem,
    SegmentationOut,
    SegmentationPage,
    VolumeOut,
    VolumePage,
)

_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}

_OPEN: Final = frozenset({"/livez", "/readyz"})


def install(app: FastAPI, keys: KeyRing) -> None:
    """Make ``app.openapi()`` give the whole document; made once, when it is first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app, keys)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def document(app: FastAPI, keys: KeyRing) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the app's routes.

    Parameters
    ----------
    app
        With its routes.
    keys
        With entries, every route under ``/v1`` is said to need a key.
    """
    found: dict[str, Any] = get_openapi(
        title=TITLE, version=__version__, description=DESCRIPTION, routes=app.routes
    )
    components = found.setdefault("components", {})
    components["schemas"] = components.get("schemas", {}) | _schemas()
    components["securitySchemes"] = _SCHEMES
    for path, operations in found["paths"].items():
        for operation in operations.values():
            open_to_all = path in _OPEN or not keys.entries
            operation["security"] = [] if open_to_all else [{name: []} for name in _SCHEMES]
    return found


def _schemas() -> dict[str, Any]:
    _, definitions = models_json_schema(
        [(model, "validation") for model in _REQUESTS]
        + [(model, "serialization") for model in _ANSWERS],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas
