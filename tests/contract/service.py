"""A running application with a client and shorthands for what tests do all the time."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from sammoe.access import Access
from sammoe.api import create_app
from sammoe.audit import AuditLog
from sammoe.segmentation import Workspace
from sammoe.settings import Settings
from tests import scans

EXPERT = "spleen"
EVENTS = "text/event-stream"
OCTETS = {"Content-Type": "application/octet-stream"}
PACKED = "application/vnd.sammoe.mask"
NIFTI = "application/x-nifti+gzip"
NRRD = "application/x-nrrd"


@dataclass(frozen=True)
class Service:
    """``http`` speaks to ``app``."""

    app: FastAPI
    http: httpx.AsyncClient

    @classmethod
    @asynccontextmanager
    async def over(
        cls,
        workspace: Workspace,
        *,
        access: Access | None = None,
        audit: AuditLog | None = None,
        **settings: Any,
    ) -> AsyncIterator["Service"]:
        """An application over a workspace, with settings other than the defaults."""
        app = create_app(workspace, Settings.load(settings), access, audit=audit)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
            yield cls(app, http)

    async def add(
        self, data: bytes | None = None, *, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Upload a scan, by default a small one."""
        content = scans.gzipped() if data is None else data
        given = {**OCTETS, **(headers or {})}
        return await self.http.post("/v1/volumes", content=content, headers=given)

    async def volume(self, seed: int = 0) -> str:
        """Upload a scan; its id."""
        answer = await self.add(scans.gzipped(seed))
        assert answer.status_code in {200, 201}, answer.text
        return str(answer.json()["id"])

    async def click(
        self, volume: str, *, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """Segment; by default with one positive point."""
        if not body.keys() & {"points", "box"} and "parent" not in body:
            body |= point(*scans.INSIDE)
        return await self.http.post(
            f"/v1/volumes/{volume}/segmentations", json=body, headers=headers
        )

    async def leave(self, path: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """Ask for events, and go away after the first; what was sent until then."""
        headers = {"Accept": EVENTS, "Content-Type": "application/json"}
        return await self.post_and_leave(path, json.dumps(asked).encode(), headers)

    async def post_and_leave(
        self,
        target: str,
        body: bytes,
        headers: Mapping[str, str],
        when: asyncio.Event | None = None,
    ) -> list[dict[str, Any]]:
        """Post, and go away ``when``, or after the first piece of an answer; what was sent."""
        received = [{"type": "http.request", "body": body, "more_body": False}]
        left = when or asyncio.Event()
        path, _, query = target.partition("?")
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if received:
                return received.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if message["type"] == "http.response.body" and when is None:
                left.set()
                await asyncio.sleep(0)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "http",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 9),
            "headers": [
                (b"host", b"127.0.0.1:8000"),
                (b"content-length", str(len(body)).encode()),
                *((name.lower().encode(), value.encode()) for name, value in headers.items()),
            ],
        }
        await self.app(scope, receive, send)
        return sent

    async def segmentation(self, volume: str, **body: Any) -> str:
        """Segment; the segmentation's id."""
        answer = await self.click(volume, **body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def point(x: float, y: float, z: float, *, label: int = 1, space: str = "voxel") -> dict[str, Any]:
    """The members of a request with one point."""
    return {"space": space, "points": [{"position": [x, y, z], "label": label}]}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an answer that must be a whole problem."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:sammoe:problem:{problem['code']}"
    assert problem["title"].endswith(".")
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert "Traceback" not in answer.text
    return answer.status_code, str(problem["code"])


def pointers(answer: httpx.Response) -> list[str]:
    """Where a refused body is at fault."""
    return [fault.get("pointer", fault.get("parameter")) for fault in answer.json()["errors"]]


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and data of server-sent events."""
    found = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        assert name.startswith("event: ")
        assert data.startswith("data: ")
        found.append((name[7:], json.loads(data[6:])))
    return found
