import httpx
import pytest
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from sammoe.api.doorkeeper import Doorkeeper
from sammoe.settings import Settings
from tests.unit.api.applications import application, client


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def knock(name: str, origin: str | None = None, **given: object) -> httpx.Response:
    app = application(hello, Middleware(Doorkeeper, settings=Settings.load(given)))
    headers = {} if origin is None else {"Origin": origin}
    async with client(app, name) as http:
        return await http.post("/", headers=headers)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "LocalHost", "[::1]:8000", "127.1.2.3"],
)
async def test_loopback_names_are_ours_on_loopback(host: str) -> None:
    assert (await knock(host)).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "192.168.1.5", "localhost.evil.example", "[::2]"]
)
async def test_another_name_is_misdirected_on_loopback(host: str) -> None:
    answer = await knock(host)
    assert (answer.status_code, answer.json()["code"]) == (421, "host_refused")
    assert host not in answer.text


async def test_an_allowed_name_is_ours() -> None:
    assert (await knock("pacs.example", allowed_hosts="PACS.example")).status_code == 200


async def test_elsewhere_any_name_will_do_unless_names_are_set() -> None:
    assert (await knock("any.example", host="0.0.0.0")).status_code == 200
    narrow = {"host": "0.0.0.0", "allowed_hosts": "pacs.example"}
    assert (await knock("pacs.example", **narrow)).status_code == 200
    assert (await knock("any.example", **narrow)).status_code == 421
    assert (await knock("127.0.0.1", **narrow)).status_code == 421


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", "https://127.0.0.1:8000"])
async def test_our_own_pages_may_call(origin: str) -> None:
    assert (await knock("127.0.0.1:8000", origin)).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://127.0.0.1:9000",
        "http://localhost:8000",
        "null",
        "",
        "https://ohif.example.evil.example",
        "https://ohif.example:444",
    ],
)
async def test_other_pages_may_not(origin: str) -> None:
    answer = await knock("127.0.0.1:8000", origin, allowed_origins="https://ohif.example")
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")


async def test_a_listed_page_may_call() -> None:
    answer = await knock(
        "127.0.0.1:8000", "https://OHIF.example", allowed_origins="https://ohif.example"
    )
    assert answer.status_code == 200
