import hashlib
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from sammoe.api.auth import LOCAL, Doorkeeper, KeyRing, check_exposure
from sammoe.errors import SettingsInvalid, Unauthorized
from sammoe.settings import Settings
from tests.unit.api.applications import application, client

KEY = "ann-has-a-long-key"
OTHER_KEY = "bob-has-a-longer-key"
DIGEST = hashlib.sha256(OTHER_KEY.encode()).hexdigest()


def ring(**given: object) -> KeyRing:
    return KeyRing.from_settings(Settings.load(given))


def principal(keys: KeyRing, **headers: str) -> str:
    return keys.principal(Headers(headers))


def test_without_keys_everybody_is_local() -> None:
    assert principal(ring()) == LOCAL
    assert principal(ring(), authorization="Bearer whatever") == LOCAL


@pytest.mark.parametrize("separator", [",", "\n", " , "])
def test_a_key_gives_its_principal(separator: str) -> None:
    keys = ring(api_keys=f"ann:{KEY}{separator}bob:sha256:{DIGEST}")
    assert principal(keys, authorization=f"Bearer {KEY}") == "ann"
    assert principal(keys, authorization=f"bearer  {KEY} ") == "ann"
    assert principal(keys, **{"x-api-key": OTHER_KEY}) == "bob"


def test_one_principal_can_have_two_keys() -> None:
    keys = ring(api_keys=f"ann:{KEY},ann:{OTHER_KEY}")
    assert principal(keys, **{"x-api-key": KEY}) == "ann"
    assert principal(keys, **{"x-api-key": OTHER_KEY}) == "ann"


@pytest.mark.fault("S20")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": f"Bearer {KEY[:-1]}"},
        {"authorization": f"Bearer sha256:{DIGEST}"},
        {"x-api-key": DIGEST},
        {"x-api-key": "ann"},
        {"x-api-key": "\u00e9\u00ff"},
    ],
)
def test_without_a_right_key_nobody_enters(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        principal(ring(api_keys=f"ann:{KEY},bob:sha256:{DIGEST}"), **headers)


def test_the_file_and_the_setting_add_up(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# our keys\n\nbob:sha256:{DIGEST}\n  eve:{KEY}#with-a-hash  \n")
    keys = ring(api_keys=f"ann:{KEY}", api_keys_file=str(file))
    assert [name for name, _ in keys.entries] == ["ann", "bob", "eve"]
    assert principal(keys, **{"x-api-key": f"{KEY}#with-a-hash"}) == "eve"


@pytest.mark.parametrize(
    "entry",
    [
        "ann",
        ":key-without-principal",
        "a b:key-of-sixteen-c",
        "ann:short",
        "ann:sha256:abc",
        "ann:",
    ],
)
def test_a_malformed_entry_is_refused_and_not_repeated(entry: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        ring(api_keys=entry)
    assert "SAMMOE_API_KEYS" in caught.value.detail
    assert entry.rpartition(":")[2] not in caught.value.detail or entry.endswith(":")


def test_a_malformed_line_is_named_by_number(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# one\nann\n")
    with pytest.raises(SettingsInvalid, match="line 2"):
        ring(api_keys_file=str(file))


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_an_unreadable_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsInvalid, match="can not be read"):
        ring(api_keys_file=str(file))


def test_keys_that_are_set_but_empty_do_not_open_the_door() -> None:
    with pytest.raises(SettingsInvalid, match="hold no key"):
        ring(api_keys=" , ")


def test_the_ring_does_not_show_its_digests() -> None:
    assert hashlib.sha256(KEY.encode()).hexdigest() not in repr(ring(api_keys=f"ann:{KEY}"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "0.0.0.0", "::", "192.168.1.5"])
@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("insecure", [False, True])
def test_only_loopback_is_served_without_keys(host: str, keyed: bool, insecure: bool) -> None:
    given: dict[str, object] = {"host": host, "insecure": insecure}
    if keyed:
        given["api_keys"] = f"ann:{KEY}"
    settings = Settings.load(given)
    keys = KeyRing.from_settings(settings)
    if settings.is_loopback or keyed or insecure:
        check_exposure(settings, keys)
    else:
        with pytest.raises(SettingsInvalid, match="--insecure"):
            check_exposure(settings, keys)


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
