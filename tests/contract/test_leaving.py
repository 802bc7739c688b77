"""Work stops at the deadline, and when its client has gone: by whichever protocol it was asked."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
import numpy as np
import pytest

from sammoe.api.nninteractive.wire import pack
from sammoe.engine.local import LocalEngine
from sammoe.segmentation import Workspace
from sammoe.store import LeaseRecord
from tests import scans
from tests.contract.service import OCTETS, Service, point, refusal

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Asked:
    """A request that needs a decode."""

    path: str
    body: bytes
    headers: dict[str, str]


async def rest(service: Service) -> Asked:
    volume = await service.volume()
    body = json.dumps(point(*scans.INSIDE)).encode()
    return Asked(f"/v1/volumes/{volume}/segmentations", body, JSON)


def inferring(path: str, **parts: tuple[str | None, bytes]) -> Asked:
    params = json.dumps({"foreground": [list(scans.INSIDE)]}).encode()
    request = httpx.Request("POST", "http://here", files={"params": (None, params), **parts})
    return Asked(path, request.read(), {"Content-Type": request.headers["Content-Type"]})


async def monailabel(service: Service) -> Asked:
    return inferring(f"/monailabel/infer/sam_med3d_moe?image={await service.volume()}")


async def monailabel_with_its_scan(_: Service) -> Asked:
    return inferring("/monailabel/infer/sam_med3d_moe", file=("scan.nii.gz", scans.gzipped()))


async def nninteractive(service: Service) -> Asked:
    lease = (await service.http.post("/nninteractive/claim")).json()["lease_token"]
    noise = np.random.default_rng(0).normal(100, 20, (1, 30, 50, 60)).astype(np.float32)
    meta = json.dumps({"image_properties": {"spacing": [3.0, 1.5, 1.0]}})
    headers = {"X-Lease-Token": lease}
    sent = await service.http.post(
        "/nninteractive/set_image", content=pack(noise), headers=headers | OCTETS | {"X-Meta": meta}
    )
    assert sent.status_code == 200, sent.text
    asked = {"coordinates": [15, 25, 30], "include_interaction": True, "run_prediction": True}
    return Asked("/nninteractive/add_point_interaction", json.dumps(asked).encode(), headers | JSON)


Ask = Callable[[Service], Awaitable[Asked]]
ASK = [rest, monailabel, monailabel_with_its_scan, nninteractive]


@dataclass
class Endless:
    """A decode that does not end."""

    began: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, *given: object, **more: object) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()


@pytest.fixture
def decode(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> Endless:
    endless = Endless()
    monkeypatch.setattr(engine, "decode", endless)
    return endless


@pytest.mark.parametrize("ask", [monailabel, nninteractive])
@pytest.mark.fault("F10")
async def test_a_deadline_stops_the_work(workspace: Workspace, decode: Endless, ask: Ask) -> None:
    async with Service.over(workspace, deadline_seconds=1) as service:
        asked = await ask(service)
        answer = await service.http.post(asked.path, content=asked.body, headers=asked.headers)
        assert refusal(answer) == (504, "deadline_exceeded")
    await asyncio.wait_for(decode.stopped.wait(), 10)


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.fault("S34")
async def test_who_leaves_stops_the_work(service: Service, decode: Endless, ask: Ask) -> None:
    asked = await ask(service)
    sent = await service.post_and_leave(asked.path, asked.body, asked.headers, decode.began)
    assert sent == []
    await asyncio.wait_for(decode.stopped.wait(), 10)


async def test_a_viewer_that_leaves_has_drawn_nothing(
    service: Service, workspace: Workspace, decode: Endless
) -> None:
    asked = await nninteractive(service)
    await service.post_and_leave(asked.path, asked.body, asked.headers, decode.began)
    (name,) = workspace.store.leases.ids()
    lease: LeaseRecord = workspace.store.leases.get(name)
    assert not lease.drawn.prompt.points
    assert lease.drawn.segmentation is None


async def test_a_scan_whose_viewer_leaves_belongs_to_its_lease(
    service: Service, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go, keep = asyncio.Event(), asyncio.Event(), workspace.volumes.keep

    async def slow(*given: object) -> object:
        record = await keep(*given)  # type: ignore[arg-type]
        began.set()
        await go.wait()
        return record

    monkeypatch.setattr(workspace.volumes, "keep", slow)
    lease = (await service.http.post("/nninteractive/claim")).json()["lease_token"]
    meta = json.dumps({"image_properties": {"spacing": [1.0, 1.0, 1.0]}})
    headers = {"X-Lease-Token": lease, "X-Meta": meta} | OCTETS
    scan = pack(np.arange(8000, dtype=np.float32).reshape(1, 20, 20, 20))
    await service.post_and_leave("/nninteractive/set_image", scan, headers, began)
    go.set()
    (name,) = workspace.store.leases.ids()
    for _ in range(500):
        if workspace.store.leases.get(name).volume_id is not None:
            break
        await asyncio.sleep(0.01)
    (volume,) = (await workspace.volumes.list("local")).items
    assert workspace.store.leases.get(name).volume_id == volume.id
