import asyncio
import logging
import re
from collections.abc import AsyncGenerator

import pytest
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from sammoe.api.context import CLIENT_CLOSED
from sammoe.api.doorkeeper import Doorkeeper
from sammoe.errors import NotFound
from sammoe.settings import Settings
from sammoe.telemetry import Telemetry
from tests.unit.api.applications import application, client

PATIENT = "Doe^John"


async def hello(request: Request) -> Response:
    return PlainTextResponse(request.state.request_id)


async def broken(request: Request) -> Response:
    raise ValueError(PATIENT)


def counted(telemetry: Telemetry, route: str, status: int) -> float | None:
    labels = {"method": "GET", "route": route, "status": str(status)}
    return telemetry.registry.get_sample_value("sammoe_http_requests_total", labels)


async def test_every_answer_has_an_id_and_is_not_kept() -> None:
    async with client(application(hello)) as http:
        one, other = await http.get("/"), await http.get("/")
    assert re.fullmatch("[0-9a-f]{32}", one.headers["X-Request-Id"])
    assert one.text == one.headers["X-Request-Id"] != other.headers["X-Request-Id"]
    assert one.headers["Cache-Control"] == "no-store"
    assert one.headers["X-Content-Type-Options"] == "nosniff"
    assert one.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert one.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert one.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("wanted", ["abc-1.2_3", "x" * 64])
async def test_a_harmless_id_of_the_client_is_kept(wanted: str) -> None:
    async with client(application(hello)) as http:
        answer = await http.get("/", headers={"X-Request-Id": wanted})
    assert answer.headers["X-Request-Id"] == wanted


@pytest.mark.fault("S13")
@pytest.mark.parametrize("wanted", ["", "x" * 65, "a b", "a\x1b[31m", "status=200 a=b"])
async def test_an_id_that_could_forge_a_log_line_is_replaced(wanted: str) -> None:
    async with client(application(hello)) as http:
        answer = await http.get("/", headers={"X-Request-Id": wanted})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])


@pytest.mark.fault("S32")
async def test_requests_are_counted_and_logged_by_template(
    caplog: pytest.LogCaptureFixture,
) -> None:
    telemetry = Telemetry()
    app = application(hello, path="/v1/{name}", telemetry=telemetry)
    with caplog.at_level(logging.INFO, "sammoe.access"):
        async with client(app) as http:
            await http.get(f"/v1/{PATIENT}?name={PATIENT}")
            await http.get(f"/{PATIENT}/x/y")
    assert counted(telemetry, "/v1/{name}", 200) == 1
    assert counted(telemetry, "unmatched", 404) == 1
    assert "route=/v1/{name} status=200" in caplog.text
    assert "Doe" not in caplog.text
    assert telemetry.registry.get_sample_value("sammoe_http_requests_in_flight") == 0


async def test_a_fault_of_ours_tells_nothing_but_its_id(caplog: pytest.LogCaptureFixture) -> None:
    async with client(application(broken)) as http:
        answer = await http.get("/")
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "internal_server_error"
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert "Doe" not in answer.text + caplog.text
    assert "ValueError" not in answer.text
    assert f"request_id={problem['request_id']} exception=ValueError" in caplog.text


async def test_half_an_answer_is_left_broken(caplog: pytest.LogCaptureFixture) -> None:
    async def half(request: Request) -> Response:
        class Half(Response):
            async def __call__(self, scope: object, receive: object, send: object) -> None:
                assert callable(send)
                await send({"type": "http.response.start", "status": 200, "headers": []})
                raise ValueError(PATIENT)

        return Half()

    telemetry = Telemetry()
    app = application(half, telemetry=telemetry)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    await app(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert counted(telemetry, "/{rest:path}", 500) == 1
    assert "Doe" not in caplog.text


async def test_a_client_that_left_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def reading(request: Request) -> Response:
        raise ClientDisconnect

    telemetry = Telemetry()
    app = application(reading, telemetry=telemetry)
    with pytest.raises(AssertionError):  # httpx's transport: no answer came
        async with client(app) as http:
            await http.get("/")
    assert counted(telemetry, "/{rest:path}", CLIENT_CLOSED) == 1
    assert "sammoe.errors" not in caplog.text


async def test_what_is_no_request_passes_through() -> None:
    app = application(hello, Middleware(Doorkeeper, settings=Settings.load()))
    messages: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "lifespan", "app": app}, receive, send)
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


@pytest.mark.fault("S27")
async def test_too_many_requests_at_once_are_told_to_wait() -> None:
    inside, leave = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        inside.set()
        await leave.wait()
        return PlainTextResponse("done")

    async with client(application(slow, limit=1)) as http:
        first = asyncio.create_task(http.get("/"))
        await inside.wait()
        refused = await http.get("/")
        alive = asyncio.create_task(http.get("/livez"))
        await asyncio.sleep(0)
        leave.set()
        assert (await first).status_code == 200
        assert (await alive).status_code == 200
        assert (await http.get("/")).status_code == 200
    assert refused.status_code == 503
    assert refused.json()["code"] == "overloaded"
    assert refused.headers["Retry-After"] == "1"


async def test_an_unread_body_closes_the_connection_after_a_refusal() -> None:
    async def refusing(request: Request) -> Response:
        raise NotFound("No such volume.")

    async def reading(request: Request) -> Response:
        await request.body()
        raise NotFound("No such volume.")

    async with client(application(refusing)) as http:
        assert (await http.post("/", content=b"body")).headers["Connection"] == "close"
        assert "Connection" not in (await http.post("/", content=b"")).headers
        assert "Connection" not in (await http.get("/")).headers
    async with client(application(reading)) as http:
        assert "Connection" not in (await http.post("/", content=b"body")).headers


async def test_a_chunked_body_counts_as_one_too() -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"one"
        yield b"two"

    async def refusing(request: Request) -> Response:
        raise NotFound("No such volume.")

    async with client(application(refusing)) as http:
        assert (await http.post("/", content=pieces())).headers["Connection"] == "close"


async def test_a_stream_that_nobody_reads_to_its_end_counts_as_left() -> None:
    class Left(Response):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 201, "headers": []})
            await send({"type": "http.response.body", "body": b"some", "more_body": True})

    async def streaming(request: Request) -> Response:
        return Left()

    telemetry = Telemetry()
    app = application(streaming, telemetry=telemetry)
    with pytest.raises(AssertionError):  # httpx's transport: the answer has no end
        async with client(app) as http:
            await http.get("/")
    assert counted(telemetry, "/{rest:path}", CLIENT_CLOSED) == 1
    assert counted(telemetry, "/{rest:path}", 201) is None
