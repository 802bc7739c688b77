"""Refusals that any route can give, and what must not cost anything."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from sammoe.api import bodies
from sammoe.segmentation import Workspace
from tests import scans
from tests.contract.service import OCTETS, Service, point, refusal

JSON = {"Content-Type": "application/json"}


async def post(service: Service, body: bytes, **headers: str) -> httpx.Response:
    path = f"/v1/volumes/{await service.volume()}/segmentations"
    return await service.http.post(path, content=body, headers=JSON | headers)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/volumes/", "/v1/nope", "/v2/volumes", "/v1//"])
async def test_an_unknown_path_is_not_found(http: httpx.AsyncClient, path: str) -> None:
    assert refusal(await http.get(path)) == (404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "OPTIONS", "HEAD", "BREW"])
async def test_a_method_that_a_route_has_not_is_refused(
    http: httpx.AsyncClient, method: str
) -> None:
    answer = await http.request(method, "/v1/volumes")
    assert answer.status_code == 405
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Allow"]


@pytest.mark.fault("S33")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"Doe^John",
        b"\xff\xfe",
        b"{} {}",
        b'{"space": "voxel", "tau": 1' + b"0" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b'{"points": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
async def test_what_is_no_json_is_refused(service: Service, body: bytes) -> None:
    answer = await post(service, body)
    assert refusal(answer) == (400, "malformed_body")
    assert "Doe" not in answer.text


@pytest.mark.fault("S33")
@pytest.mark.parametrize(
    "body",
    [
        json.dumps({f"k{n}": n for n in range(15_000)}).encode(),
        json.dumps({"space": "voxel", "points": [{}] * 60_000}).encode(),
    ],
)
async def test_thousands_of_faults_are_not_listed(service: Service, body: bytes) -> None:
    volume = await service.volume()
    started = time.process_time()
    answer = await service.http.post(
        f"/v1/volumes/{volume}/segmentations", content=body, headers=JSON
    )
    assert time.process_time() - started < 0.5
    assert refusal(answer) == (400, "malformed_body")


async def test_some_faults_are_listed_up_to_a_bound(service: Service) -> None:
    answer = await post(service, json.dumps({f"k{n}": n for n in range(100)}).encode())
    assert refusal(answer) == (422, "invalid_input")
    assert len(answer.json()["errors"]) == 32


@pytest.mark.fault("S31")
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "identity, gzip"},
    ],
)
async def test_a_body_of_another_kind_is_refused(service: Service, headers: dict[str, str]) -> None:
    body = json.dumps(point(*scans.INSIDE)).encode()
    assert refusal(await post(service, body, **headers)) == (415, "unsupported_media_type")


async def test_a_charset_is_no_matter(service: Service) -> None:
    body = json.dumps(point(*scans.INSIDE)).encode()
    answer = await post(service, body, **{"Content-Type": "Application/JSON; charset=utf-8"})
    assert answer.status_code == 201


@pytest.mark.fault("S33")
async def test_a_body_over_the_limit_is_refused(workspace: Workspace) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 1000

    async with Service.over(workspace, json_limit_kib=1) as service:
        path = f"/v1/volumes/{await service.volume()}/segmentations"
        for content in (b" " * 1025, endless()):
            answer = await service.http.post(path, content=content, headers=JSON)
            assert refusal(answer) == (413, "too_large")
            assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("length", ["many", "-1", "1_0", "9" * 30])
async def test_a_content_length_that_is_no_number_is_refused(
    http: httpx.AsyncClient, length: str
) -> None:
    answer = await http.post(
        "/v1/volumes", content=b"x", headers=OCTETS | {"Content-Length": length}
    )
    assert refusal(answer) == (400, "malformed_body")


@pytest.mark.fault("S03")
async def test_a_silent_body_times_out(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "IDLE_SECONDS", 0.01)

    async def silent() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    for path, headers in (
        (f"/v1/volumes/{await service.volume()}/segmentations", JSON),
        ("/v1/volumes", OCTETS),
    ):
        answer = await service.http.post(path, content=silent(), headers=headers)
        assert refusal(answer) == (408, "request_timeout")
        assert answer.headers["Connection"] == "close"


FORM = {"Content-Type": "multipart/form-data; boundary=b"}
FILE = b'--b\r\nContent-Disposition: form-data; name="f"; filename="Doe"\r\n\r\ndata'
FIELD = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nDoe'


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", FORM),
        (b"--b--\r\n", FORM),
        (b"no form", FORM),
        (FILE, FORM),
        (FIELD + b"\r\n--b--\r\n", FORM),
        (b"--b\r\nX: y\r\n\r\ndata\r\n--b--\r\n", FORM),
        (b"--b\r\n" + b"X: y\r\n" * 500 + b"\r\ndata\r\n--b--\r\n", FORM),
        (b'--b\r\nContent-Disposition: form-data; filename="f"\r\n\r\n\r\n--b--\r\n', FORM),
        (FILE, {"Content-Type": "multipart/form-data"}),
        (FILE, {"Content-Type": f"multipart/form-data; boundary={'b' * 300}"}),
    ],
)
async def test_a_form_without_a_file_is_refused(
    http: httpx.AsyncClient, workspace: Workspace, body: bytes, headers: dict[str, str]
) -> None:
    answer = await http.post("/v1/volumes", content=body, headers=headers)
    assert refusal(answer) == (400, "malformed_body")
    assert "Doe" not in answer.text
    assert list(workspace.temporary_folder.glob("arriving-*")) == []


async def test_several_files_of_a_form_are_a_series(
    http: httpx.AsyncClient, workspace: Workspace
) -> None:
    body = FILE + b"\r\n" + FILE + b"\r\n--b--\r\n"
    answer = await http.post("/v1/volumes", content=body, headers=FORM)
    assert refusal(answer) == (422, "dicom_no_images")
    assert "Doe" not in answer.text
    assert list(workspace.temporary_folder.glob("arriving-*")) == []


async def test_a_form_may_come_byte_by_byte(service: Service) -> None:
    content = scans.gzipped()
    form = FILE.removesuffix(b"data") + content + b"\r\n--b--\r\n"

    async def pieces() -> AsyncIterator[bytes]:
        for n in range(0, 300):
            yield form[n : n + 1]
        yield form[300:-30]
        for n in range(len(form) - 30, len(form)):
            yield form[n : n + 1]

    answer = await service.http.post("/v1/volumes", content=pieces(), headers=FORM)
    assert answer.status_code == 201
    assert (await service.add(content)).json()["id"] == answer.json()["id"]


@pytest.mark.fault("F15", "F24")
async def test_a_full_disk_is_said_and_nothing_stays(
    service: Service, workspace: Workspace
) -> None:
    folder = workspace.temporary_folder
    folder.rename(folder.with_name("gone"))
    try:
        assert refusal(await service.add()) == (503, "store_unavailable")
        ready = await service.http.get("/readyz")
        assert refusal(ready) == (503, "store_unavailable")
        assert ready.headers["Retry-After"] == "1"
        assert (await service.http.get("/livez")).status_code == 200
    finally:
        folder.with_name("gone").rename(folder)
    assert (await service.http.get("/readyz")).status_code == 200
    assert (await service.add()).status_code == 201
