"""The outermost layer: request id, metrics, trace, one log line, an answer to every exception.

Plain ASGI, because a middleware that wraps the body costs more than a cached click's routing.
"""

import asyncio
import re
import time
from http import HTTPStatus
from typing import Final
from uuid import uuid4

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sammoe.api.admission import Admission, Place
from sammoe.api.headers import ANSWER_HEADERS
from sammoe.api.problems import PROBLEM, fail, refuse
from sammoe.errors import SammoeError
from sammoe.telemetry import (
    UNMATCHED,
    Telemetry,
    Tracer,
    about,
    known_method,
    log_failure,
    log_request,
    tracing,
)
from sammoe.telemetry.tracing import Span

REQUEST_ID: Final = "X-Request-Id"

CLIENT_CLOSED: Final = 499
"""Status in metrics and logs of a request whose client went away; nobody receives it."""

_UNTRACED: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Probes, which would bury what people do."""

_UNREAD_SECONDS: Final = 60.0
"""How long a client may take nothing of an answer that waits for it."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

_HEADERS: Final = tuple(
    (name.lower().encode(), value.encode()) for name, value in ANSWER_HEADERS.items()
)


class RequestContext:
    """Give each request an id, count it, log it, and let no exception out.

    Parameters
    ----------
    app
        The rest of the application.
    telemetry
        Where requests are counted.
    limit
        Requests at once; more are refused with 503 before anything of them is read. See
        `Admission`.
    tracer
        What collects spans, if anything does.
    """

    def __init__(
        self, app: ASGIApp, telemetry: Telemetry, limit: int, tracer: Tracer | None = None
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._admission = Admission(limit)
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        place = Place(self._admission, scope)
        exchange = _Exchange(scope, receive, send, place)
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        tracer = None if scope["path"] in _UNTRACED else self._tracer
        with about(exchange.request_id), tracing(tracer, scope["headers"]) as span:
            started = time.perf_counter()
            try:
                await self._answer(scope, exchange)
            finally:
                place.leave()
                self._telemetry.in_flight.set(self._admission.requests)
                self._tell(scope, exchange, span, time.perf_counter() - started)

    def _tell(self, scope: Scope, exchange: "_Exchange", span: Span, seconds: float) -> None:
        """Count, trace and log a request that has been answered."""
        method, route = scope["method"], getattr(scope.get("route"), "path", UNMATCHED)
        status, code = exchange.status, scope["state"].get(PROBLEM)
        self._telemetry.request(method, route, status, seconds)
        if code is not None:
            self._telemetry.refusal(code)
        span.name(f"{known_method(method)} {route}")
        span.note(
            **{
                "http.request.method": known_method(method),
                "http.route": route,
                "http.response.status_code": status,
                "sammoe.request_id": exchange.request_id,
            }
        )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.fail(code or str(status))
        log_request(exchange.request_id, method, route, status, seconds)

    async def _answer(self, scope: Scope, exchange: "_Exchange") -> None:
        try:
            exchange.place.take()
            self._telemetry.in_flight.set(self._admission.requests)
            await self._app(scope, exchange.receive, exchange.send)
            if exchange.answering and not exchange.answered:
                exchange.status = CLIENT_CLOSED  # A stream that nobody reads to its end.
            return
        except ClientDisconnect:
            exchange.status = CLIENT_CLOSED
            return
        except SammoeError as error:
            response = refuse(error, scope["state"])
        except Exception as error:
            log_failure(exchange.request_id, error)
            if exchange.answering:
                # Half an answer is out: the server breaks the connection, which tells the client.
                exchange.status = HTTPStatus.INTERNAL_SERVER_ERROR
                return
            response = fail(scope["state"])
        await response(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer: passes messages through and notes what they say."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, place: Place) -> None:
        self.place = place
        self._receive = receive
        self._send = send
        self.request_id = _request_id(scope)
        self.status = CLIENT_CLOSED
        self.answering = self.answered = False
        self._body_pending = _has_body(scope)

    async def receive(self) -> Message:
        message = await self._receive()
        if not message.get("more_body", False):
            self._body_pending = False
            self.place.body_came()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answering = True
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            headers.append((REQUEST_ID.lower().encode(), self.request_id.encode()))
            said = {name.lower() for name, _ in headers}
            headers.extend(header for header in _HEADERS if header[0] not in said)
            if self._body_pending and self.status >= HTTPStatus.BAD_REQUEST:
                # The rest of a refused upload is not worth receiving.
                headers = [h for h in headers if h[0].lower() != b"connection"]
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        try:
            async with asyncio.timeout(_UNREAD_SECONDS):
                await self._send(message)
            if message["type"] == "http.response.body":
                self.answered = not message.get("more_body", False)
        except TimeoutError:
            # The server breaks the connection; a client that hangs shall not hold a place.
            raise ClientDisconnect from None


def _request_id(scope: Scope) -> str:
    """The client's own id when it is harmless in a log, else a new one."""
    wanted = REQUEST_ID.lower().encode()
    for name, value in scope["headers"]:
        if name == wanted and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return uuid4().hex


def _has_body(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return True
    return False
