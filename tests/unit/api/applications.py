"""Small applications for tests of single parts, called without a socket."""

from collections.abc import Awaitable, Callable

import httpx
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from sammoe.api.context import RequestContext
from sammoe.api.problems import install
from sammoe.telemetry import Telemetry

Endpoint = Callable[[Request], Awaitable[Response]]


def application(
    endpoint: Endpoint,
    *middleware: Middleware,
    path: str = "/{rest:path}",
    telemetry: Telemetry | None = None,
    limit: int = 8,
) -> FastAPI:
    """An application of one route for every method, behind the request context."""
    context = Middleware(RequestContext, telemetry=telemetry or Telemetry(), limit=limit)
    app = FastAPI(middleware=[context, *middleware], openapi_url=None)
    app.add_api_route(path, endpoint, methods=["GET", "POST"], response_model=None)
    install(app)
    return app


def client(app: FastAPI, host: str = "127.0.0.1") -> httpx.AsyncClient:
    """A client of the application; ``host`` is the URL's authority, thus the Host header."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=True), base_url=f"http://{host}"
    )
