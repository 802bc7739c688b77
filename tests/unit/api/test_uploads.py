import hashlib
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message

from sammoe.api.uploads import received
from tests.unit.api.applications import application, client

MIB = 1 << 20
OCTETS = {"Content-Type": "application/octet-stream"}


async def send(
    folder: Path, content: bytes | AsyncIterator[bytes], limit: int = 8 * MIB
) -> httpx.Response:
    """Upload to an application that tells what it received."""

    async def receive(request: Request) -> Response:
        async with received(request, folder, limit, 30.0) as upload:
            kept = upload.path.read_bytes()
            assert folder in upload.path.parents
        return JSONResponse(
            {
                "size": upload.size,
                "digest": upload.digest,
                "kept": hashlib.sha256(kept).hexdigest(),
            }
        )

    async with client(application(receive)) as http:
        return await http.post("/", content=content, headers=OCTETS)


@contextmanager
def files_no_larger_than(limit: int) -> Iterator[None]:
    """Let this process write no larger files, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [1, MIB - 1, MIB, 3 * MIB + 7])
async def test_a_file_is_kept_whole_while_it_is_needed(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    answer = (await send(tmp_path, content[:size])).json()
    assert answer["size"] == size
    assert answer["digest"] == answer["kept"] == hashlib.sha256(content[:size]).hexdigest()
    assert list(tmp_path.iterdir()) == []


async def test_exactly_the_limit_may_come_and_no_byte_more(tmp_path: Path) -> None:
    async def undeclared(size: int) -> AsyncIterator[bytes]:
        for _ in range(size):
            yield b"\0"

    assert (await send(tmp_path, b"\0" * 100, limit=100)).status_code == 200
    assert (await send(tmp_path, undeclared(100), limit=100)).status_code == 200
    assert (await send(tmp_path, undeclared(101), limit=100)).status_code == 413
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("F15")
async def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with files_no_larger_than(2 * MIB):
        answer = await send(tmp_path, b"\0" * 3 * MIB)
    assert answer.status_code == 503
    assert answer.json()["code"] == "store_unavailable"
    assert "full" in answer.json()["detail"]
    assert list(tmp_path.iterdir()) == []
    assert (await send(tmp_path, b"\0" * 3 * MIB)).status_code == 200


async def test_a_client_that_leaves_leaves_nothing_behind(tmp_path: Path) -> None:
    async def receive_upload(request: Request) -> Response:
        async with received(request, tmp_path, 8 * MIB, 30.0):
            raise AssertionError("the file never came whole")

    messages: list[Message] = [
        {"type": "http.request", "body": b"\0" * 2 * MIB, "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send_message(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(b"content-type", b"application/octet-stream")],
        "query_string": b"",
    }
    await application(receive_upload)(scope, receive, send_message)
    assert sent == []
    assert list(tmp_path.iterdir()) == []
