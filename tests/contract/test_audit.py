"""What the audit log tells of requests, and what a log that can not be written does to them."""

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sammoe.audit import AuditLog, AuditOptions, Event, Sealer, verify
from sammoe.errors import AuditUnavailable
from sammoe.segmentation import Workspace
from tests import scans
from tests.contract.people import access_to, key_of
from tests.contract.service import EVENTS, OCTETS, Service, point, refusal
from tests.contract.test_dicom import CT, zipped
from tests.series import SERIES, STUDY, series

PATIENT = "Doe^John"
STEPS = {"Accept": EVENTS}


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[AuditLog]:
    log = AuditLog(tmp_path / "audit")
    yield log
    log.close()


def lines(log: AuditLog) -> list[dict[str, Any]]:
    """What was told so far, without first lines."""
    log.close()
    files = sorted(log.folder.glob("*/*.jsonl"))
    found = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [line for line in found if line["action"] != "audit.opened"]


async def test_each_step_of_a_study_is_told_with_who_and_which(
    workspace: Workspace, log: AuditLog
) -> None:
    ann = key_of(workspace.store, "ann", "segmenter", {"p": "segmenter"})
    bob = key_of(workspace.store, "bob", "reader", {"p": "reader"})
    access = await access_to(workspace.store)
    async with Service.over(workspace, access=access, audit=log) as service:
        http = service.http
        content = zipped(series(CT))
        added = await http.post("/v1/volumes?project=p", content=content, headers=OCTETS | ann)
        volume = added.json()["id"]
        made = await service.click(volume, **point(24, 22, 12), headers=ann)
        seen = await http.get(f"/v1/segmentations/{made.json()['id']}/mask", headers=bob)
        refused = await service.click(volume, **point(24, 22, 12), headers=bob)
        await http.get(f"/v1/volumes/{'0' * 26}", headers=bob)
        kept = await http.delete(f"/v1/volumes/{volume}", headers=ann)
    assert [seen.status_code, refused.status_code, kept.status_code] == [200, 403, 204]
    told = lines(log)
    assert [(line["action"], line["outcome"]) for line in told] == [
        ("volume.add", "success"),
        ("segmentation.add", "success"),
        ("segmentation.mask", "success"),
        ("segmentation.add", "refused"),
        ("volume.read", "refused"),
        ("volume.delete", "success"),
    ]
    assert [line["who"]["principal"] for line in told] == ["ann", "ann", "bob", "bob", "bob", "ann"]
    assert all(line["who"]["via"].startswith("key:") for line in told)
    study = Sealer().pseudonym(STUDY)
    for line in (*told[:3], told[5]):
        objects = line["objects"]
        assert (objects["study"], objects["volume"]) == (study, volume), line
        assert objects["series"] == Sealer().pseudonym(SERIES)
    assert told[2]["objects"]["project"] == "p"
    assert told[1]["objects"]["segmentation"] == made.json()["id"]
    assert (told[4]["request"]["status"], told[4]["request"]["code"]) == (404, "not_found")
    assert told[0]["request"]["id"] == added.headers["X-Request-Id"]
    assert told[0]["request"]["address"] == "127.0.0.1"
    assert STUDY not in json.dumps(told)


async def test_an_answer_in_steps_is_told_with_how_it_ends(
    workspace: Workspace, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*given: object, **more: object) -> None:
        raise RuntimeError

    async with Service.over(workspace, audit=log) as service:
        volume = await service.volume()
        good = await service.click(volume, headers=STEPS)
        assert "event: segmentation" in good.text
        bad = await service.click(volume, **point(1e6, 0, 0), headers=STEPS)
        assert "event: problem" in bad.text
        with monkeypatch.context() as patched:
            patched.setattr(workspace, "segment", broken)
            failed = await service.click(volume, headers=STEPS)
        assert "internal_server_error" in failed.text
        left = await service.leave(f"/v1/volumes/{volume}/embeddings", {"extent": "whole"})
        assert left[0]["status"] == 202
    told = lines(log)[1:]
    assert [(line["action"], line["outcome"]) for line in told] == [
        ("segmentation.add", "success"),
        ("segmentation.add", "refused"),
        ("segmentation.add", "failed"),
        ("volume.warm", "abandoned"),
    ]
    assert [line["request"]["status"] for line in told] == [201, 422, 500, 499]
    assert [line["request"].get("code") for line in told[:3]] == [
        None,
        "point_outside",
        "internal_server_error",
    ]
    assert len(told[0]["objects"]["segmentation"]) == 26


async def test_the_last_step_is_not_sent_before_the_log_has_its_line(
    workspace: Workspace, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(event: Event) -> None:
        raise RuntimeError

    async with Service.over(workspace, audit=log) as service:
        volume = await service.volume()
        monkeypatch.setattr(log, "written", broken)
        path = f"/v1/volumes/{volume}/segmentations"
        (started,) = await service.leave(path, point(*scans.INSIDE))
    assert started["type"] == "http.response.start"


@pytest.mark.fault("S13")
async def test_nothing_of_a_patient_is_told(workspace: Workspace, log: AuditLog) -> None:
    async with Service.over(workspace, audit=log, api_keys="ann:ann-has-a-long-key") as service:
        http = service.http
        ann = {"X-API-Key": "ann-has-a-long-key"}
        for headers in (ann, {"X-API-Key": PATIENT}, {"Host": PATIENT}, {"Origin": PATIENT}):
            await http.get(f"/v1/volumes/{PATIENT}?name={PATIENT}", headers=headers)
            await http.get(f"/dicom-web/studies?PatientName={PATIENT}", headers=headers)
            await http.get(f"/monailabel/session/{PATIENT}", headers=headers)
            await http.get(f"/{PATIENT}", headers=headers | {"X-Request-Id": PATIENT})
            files = {"file": (f"{PATIENT}.nii", b"no scan" * 100)}
            await http.post("/v1/volumes", files=files, headers=headers)
        await http.request(PATIENT.replace("^", ""), "/v1/volumes", headers=ann)
    told = lines(log)
    assert len(told) > 16
    assert "Doe" not in json.dumps(told)


async def test_strangers_can_not_fill_the_disk(
    workspace: Workspace, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sammoe.api.auditing._MOST_STRANGERS", 5)
    minute = [0.0]
    monkeypatch.setattr("sammoe.api.auditing.time.monotonic", lambda: minute[0])
    async with Service.over(workspace, audit=log, api_keys="ann:ann-has-a-long-key") as service:
        for _ in range(12):
            await service.http.get("/v1/volumes")
        await service.http.get("/v1/volumes", headers={"X-API-Key": "ann-has-a-long-key"})
        minute[0] = 61.0
        await service.http.get("/v1/volumes")
    told = lines(log)
    assert [line["request"]["status"] for line in told] == [401] * 5 + [200, 401]
    assert told[-1]["objects"]["unlisted"] == 7


@pytest.mark.parametrize("fails_open", [False, True])
@pytest.mark.fault("F26")
async def test_a_log_that_can_not_be_written_refuses_changes_alone(
    workspace: Workspace, tmp_path: Path, fails_open: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path / "audit", AuditOptions(fails_open=fails_open))
    async with Service.over(workspace, audit=log) as service:
        http = service.http
        volume = await service.volume()
        assert (await http.get("/readyz")).status_code == 200

        def full(*given: object) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(os, "pwrite", full)
            assert (await http.get(f"/v1/volumes/{volume}")).status_code == 200
            await asyncio.to_thread(_until, lambda: not log.works)
            assert "sammoe_audit_log_up 0.0" in (await http.get("/metrics")).text
            made = await service.click(volume)
            ready = await http.get("/readyz")
            if fails_open:
                assert (made.status_code, ready.status_code) == (201, 200)
            else:
                assert refusal(made) == (503, "audit_unavailable")
                assert made.headers["Retry-After"]
                assert refusal(ready) == (503, "audit_unavailable")
            assert (await http.get(f"/v1/volumes/{volume}")).status_code == 200
        await asyncio.to_thread(_until, lambda: log.works)
        assert (await service.click(volume)).status_code == 201
        assert (await http.get("/readyz")).status_code == 200
    # Nothing is missing: what could not be written then was written later.
    outcomes = [(line["action"], line["outcome"]) for line in lines(log)]
    refused = "success" if fails_open else "failed"
    assert outcomes == [
        ("volume.add", "success"),
        ("volume.read", "success"),
        ("segmentation.add", refused),
        ("volume.read", "success"),
        ("segmentation.add", "success"),
    ]


def _until(holds: Any) -> None:
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to hold")


@pytest.mark.fault("F26")
async def test_a_disk_that_hangs_holds_up_no_reader(
    workspace: Workspace, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, write = threading.Event(), os.pwrite

    def slow(handle: int, data: bytes, offset: int) -> int:
        go.wait(10)
        return write(handle, data, offset)

    async with Service.over(workspace, audit=log) as service:
        monkeypatch.setattr(os, "pwrite", slow)
        adding = asyncio.create_task(service.add(scans.gzipped()))
        for _ in range(20):
            assert (await service.http.get("/v1/volumes")).status_code == 200
        assert not adding.done()  # a change is told before it is answered
        go.set()
        assert (await adding).status_code == 201


@pytest.mark.fault("F26")
async def test_a_disk_that_hangs_is_one_that_fails(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sammoe.audit.log.HUNG_SECONDS", 0.3)
    # Each file begins with what other chains say: one that is a pipe never answers.
    log = AuditLog(tmp_path / "audit", AuditOptions(rotate_bytes=1))
    pipe = log.folder / "other-1" / f"{1:012}.jsonl"
    async with Service.over(workspace, audit=log) as service:
        http = service.http
        volume = await service.volume()
        pipe.parent.mkdir()
        os.mkfifo(pipe)
        under_way = await service.click(volume)
        assert under_way.status_code == 201  # as where the disk is full: its line is kept
        for _ in range(2):
            assert refusal(await service.click(volume)) == (503, "audit_unavailable")
            assert refusal(await http.get("/readyz")) == (503, "audit_unavailable")
        assert "sammoe_audit_log_up 0.0" in (await http.get("/metrics")).text
        assert (await http.get(f"/v1/volumes/{volume}")).status_code == 200
        with pytest.raises(AuditUnavailable):
            await asyncio.to_thread(AuditLog, log.folder)
        answering = os.open(pipe, os.O_RDWR)
        pipe.unlink()
        os.close(answering)
        await asyncio.to_thread(_until, lambda: log.works)
        assert (await service.click(volume)).status_code == 201
        assert (await http.get("/readyz")).status_code == 200
    outcomes = [(line["action"], line["outcome"]) for line in lines(log)]
    assert outcomes == [
        ("volume.add", "success"),
        ("segmentation.add", "success"),
        ("segmentation.add", "failed"),
        ("segmentation.add", "failed"),
        ("volume.read", "success"),
        ("segmentation.add", "success"),
    ]
    assert verify(log.folder, Sealer()).breaks == []
