import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest

from sammoe.segmentation import Workspace
from tests import scans
from tests.contract.service import EVENTS, OCTETS, Service, events, point, pointers, refusal


async def test_an_upload_becomes_a_volume(service: Service) -> None:
    answer = await service.add()
    assert answer.status_code == 201
    volume = answer.json()
    assert answer.headers["Location"] == f"/v1/volumes/{volume['id']}"
    assert volume["shape"] == list(scans.SHAPE)
    assert volume["spacing"] == list(scans.SPACING)
    assert volume["orientation"] == "LAS"
    assert volume["affine"] == scans.AFFINE.tolist()
    assert (volume["modality"], volume["modality_source"]) == ("MR", "rule")
    assert volume["warnings"] == []
    created = datetime.fromisoformat(volume["created"])
    assert abs((datetime.now(UTC) - created).total_seconds()) < 60
    again = await service.http.get(answer.headers["Location"])
    assert (again.status_code, again.json()) == (200, volume)


async def test_the_same_file_again_is_the_same_volume(service: Service) -> None:
    first, second = await service.add(), await service.add()
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    assert second.headers["Location"] == first.headers["Location"]
    assert (await service.add(scans.gzipped(1))).status_code == 201


async def test_the_same_file_with_another_modality_is_another_volume(service: Service) -> None:
    auto = await service.add()
    asked = await service.http.post(
        "/v1/volumes?modality=CT", content=scans.gzipped(), headers=OCTETS
    )
    assert asked.status_code == 201
    assert asked.json()["id"] != auto.json()["id"]
    assert (asked.json()["modality"], asked.json()["modality_source"]) == ("CT", "user")


async def test_an_unknown_modality_is_a_warning(service: Service) -> None:
    voxels = np.random.default_rng(0).normal(-3, 1, scans.SHAPE).astype(np.float32)
    answer = await service.add(scans.as_nifti(voxels, scans.AFFINE))
    assert answer.json()["modality"] == "unknown"
    assert [doubt["code"] for doubt in answer.json()["warnings"]] == ["modality_unknown"]


async def test_a_form_with_one_file_will_do_too(service: Service) -> None:
    raw = await service.add()
    form = await service.http.post(
        "/v1/volumes", files={"file": ("Doe^John.nii.gz", scans.gzipped(), "application/gzip")}
    )
    assert (form.status_code, form.json()) == (200, raw.json())
    assert "Doe" not in form.text


async def test_what_is_no_scan_is_refused(service: Service) -> None:
    assert refusal(await service.add(b"Doe^John was here" * 100)) == (415, "unsupported_format")
    assert refusal(await service.add(scans.gzipped()[:-2000])) == (422, "file_truncated")
    assert refusal(await service.add(scans.nifti()[:-100])) == (422, "file_truncated")
    assert refusal(await service.add(b"")) == (400, "malformed_body")


@pytest.mark.fault("S31")
async def test_a_wrong_content_type_is_refused(http: httpx.AsyncClient) -> None:
    for headers in ({"Content-Type": "text/plain"}, {}, {**OCTETS, "Content-Encoding": "gzip"}):
        answer = await http.post("/v1/volumes", content=scans.gzipped(), headers=headers)
        assert refusal(answer) == (415, "unsupported_media_type")


async def test_a_modality_that_does_not_exist_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/volumes?modality=PET", content=b"x", headers=OCTETS)
    assert refusal(answer) == (422, "invalid_input")
    assert pointers(answer) == ["modality"]
    assert "PET" not in answer.text


async def test_only_json_can_be_had(service: Service) -> None:
    assert refusal(await service.add(headers={"Accept": "text/html"})) == (406, "not_acceptable")
    for path in ("/v1/volumes", f"/v1/volumes/{await service.volume()}"):
        answer = await service.http.get(path, headers={"Accept": "text/html"})
        assert refusal(answer) == (406, "not_acceptable")


@pytest.mark.fault("S01")
async def test_a_declared_size_over_the_limit_is_refused_unread(workspace: Workspace) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    async with Service.over(workspace, upload_limit_mib=1) as service:
        length = {"Content-Length": str((1 << 20) + 1)}
        answer = await service.http.post("/v1/volumes", content=never(), headers=OCTETS | length)
        assert refusal(answer) == (413, "too_large")
        assert answer.headers["Connection"] == "close"


@pytest.mark.fault("S02")
@pytest.mark.parametrize("form", [False, True])
async def test_an_undeclared_size_over_the_limit_is_cut(workspace: Workspace, form: bool) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        if form:
            yield b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        while True:
            sent += 1
            yield b"\0" * (1 << 16)

    content_type = "multipart/form-data; boundary=b" if form else "application/octet-stream"
    async with Service.over(workspace, upload_limit_mib=1) as service:
        answer = await service.http.post(
            "/v1/volumes", content=endless(), headers={"Content-Type": content_type}
        )
    assert refusal(answer) == (413, "too_large")
    assert answer.headers["Connection"] == "close"
    assert sent <= 18
    assert list(workspace.temporary_folder.glob("arriving-*")) == []


async def test_nothing_of_an_upload_is_left_behind(service: Service, workspace: Workspace) -> None:
    await service.add()
    await service.add(b"no scan at all, but long enough to be taken for one")
    assert list(workspace.temporary_folder.glob("arriving-*")) == []


async def test_volumes_are_listed_newest_first_in_pages(service: Service) -> None:
    assert (await service.http.get("/v1/volumes")).json() == {"items": [], "next": None}
    ids = [await service.volume(seed) for seed in range(3)]
    first = (await service.http.get("/v1/volumes?limit=2")).json()
    assert [item["id"] for item in first["items"]] == [ids[2], ids[1]]
    rest = (await service.http.get(f"/v1/volumes?limit=2&cursor={first['next']}")).json()
    assert [item["id"] for item in rest["items"]] == [ids[0]]
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("cursor=Doe", "cursor"),
        ("cursor=", "cursor"),
        ("page=2", "page"),
    ],
)
async def test_a_list_is_asked_for_rightly(
    http: httpx.AsyncClient, query: str, parameter: str
) -> None:
    answer = await http.get(f"/v1/volumes?{query}")
    assert refusal(answer) == (422, "invalid_input")
    assert pointers(answer) == [parameter]
    assert "Doe" not in answer.text


async def test_a_deleted_volume_is_gone_with_its_segmentations(service: Service) -> None:
    volume = await service.volume()
    segmentation = await service.segmentation(volume)
    answer = await service.http.delete(f"/v1/volumes/{volume}")
    assert (answer.status_code, answer.content) == (204, b"")
    for path in (
        f"/v1/volumes/{volume}",
        f"/v1/volumes/{volume}/segmentations",
        f"/v1/segmentations/{segmentation}",
        f"/v1/segmentations/{segmentation}/mask",
    ):
        assert refusal(await service.http.get(path)) == (404, "not_found")
    assert refusal(await service.http.delete(f"/v1/volumes/{volume}")) == (404, "not_found")
    assert (await service.add()).status_code == 201


@pytest.mark.parametrize("name", ["nope", "0" * 26, "..", "%2e%2e", "a" * 5000, "%00", "Doe^John"])
async def test_an_unknown_volume_is_not_found(http: httpx.AsyncClient, name: str) -> None:
    answers = [
        await http.get(f"/v1/volumes/{name}"),
        await http.delete(f"/v1/volumes/{name}"),
        await http.get(f"/v1/volumes/{name}/segmentations"),
        await http.post(f"/v1/volumes/{name}/segmentations", json=point(1, 1, 1)),
        await http.post(f"/v1/volumes/{name}/embeddings"),
    ]
    for answer in answers:
        assert refusal(answer) in {(404, "not_found"), (405, "method_not_allowed")}
        assert "Doe" not in answer.text


async def test_warming_up_makes_the_first_click_a_hit(service: Service) -> None:
    volume = await service.volume()
    answer = await service.http.post(f"/v1/volumes/{volume}/embeddings", json=point(*scans.INSIDE))
    assert (answer.status_code, answer.json()["windows"]) == (202, 1)
    click = await service.click(volume)
    assert click.status_code == 201
    # The click waits for the encode that is under way, or finds it done: it makes none itself.
    assert "crop;dur" not in click.headers["Server-Timing"]


@pytest.mark.parametrize("body", [None, {}, {"spacing": 3.0}])
async def test_warming_up_without_a_prompt_takes_the_middle(
    service: Service, body: dict[str, float] | None
) -> None:
    volume = await service.volume()
    answer = await service.http.post(f"/v1/volumes/{volume}/embeddings", json=body)
    assert (answer.status_code, answer.json()["windows"]) == (202, 1)


async def test_warming_up_is_asked_for_rightly(service: Service) -> None:
    path = f"/v1/volumes/{await service.volume()}/embeddings"
    for body, pointer in (
        ({"spacing": "3"}, "/spacing"),
        ({"spacing": 0}, "/spacing"),
        ({"spacing": 2.2}, "/spacing"),
        ({"points": [{"position": [1, 1, 1], "label": 1}]}, "/space"),
        (point(1000, 1, 1), "/points/0"),
        ({"what": 1}, "/what"),
        ({"extent": "all"}, "/extent"),
        ({"budget_mib": 3}, "/extent"),
        ({"extent": "whole", "budget_mib": 0}, "/budget_mib"),
        ({"extent": "whole", "spacing": 3.0}, "/extent"),
        ({"extent": "whole"} | point(*scans.INSIDE), "/extent"),
    ):
        answer = await service.http.post(path, json=body)
        assert answer.status_code == 422, body
        assert pointers(answer) == [pointer], body


async def test_a_whole_scan_is_prepared_behind_the_answer(
    service: Service, workspace: Workspace
) -> None:
    volume = await service.volume()
    path = f"/v1/volumes/{volume}/embeddings"
    answer = await service.http.post(path, json={"extent": "whole"})
    planned = answer.json()
    assert answer.status_code == 202
    assert planned["windows"] > 1
    assert planned["covered"] > 0.9
    assert planned["mib"] > 0
    assert planned["minutes"] >= 0
    async with asyncio.timeout(30):
        while workspace.cache.counters.misses < planned["windows"]:
            await asyncio.sleep(0.01)
    for place in ((5, 5, 5), (30, 35, 25), (55, 65, 45)):
        click = await service.click(volume, **point(*place))
        assert "crop;dur" not in click.headers["Server-Timing"]


async def test_a_whole_scan_is_prepared_in_steps(service: Service) -> None:
    volume = await service.volume()
    path, whole = f"/v1/volumes/{volume}/embeddings", {"extent": "whole"}
    answer = await service.http.post(path, json=whole, headers={"Accept": EVENTS})
    (first, planned), *steps, (last, done) = events(answer.text)
    assert (answer.status_code, first, last) == (202, "plan", "warmed")
    assert done == {"windows": planned["windows"]}
    assert steps == [("progress", {"windows": n + 1}) for n in range(planned["windows"])]
    keyed = {"Accept": EVENTS, "Idempotency-Key": "one"}
    assert refusal(await service.http.post(path, json=whole, headers=keyed)) == (400, "bad_request")
    one = await service.http.post(path, json={}, headers={"Accept": EVENTS})
    assert refusal(one) == (406, "not_acceptable")


async def test_a_whole_scan_beyond_the_budget_is_refused(
    service: Service, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/v1/volumes/{await service.volume()}/embeddings"
    monkeypatch.setattr(workspace.warmer, "budget_bytes", 100)
    for accept in ("application/json", EVENTS):
        whole = {"extent": "whole", "budget_mib": 64}
        answer = await service.http.post(path, json=whole, headers={"Accept": accept})
        assert refusal(answer) == (413, "too_large")
    assert workspace.cache.counters.misses == 0


async def test_who_leaves_stops_the_preparing_of_a_whole_scan(
    service: Service, workspace: Workspace
) -> None:
    path = f"/v1/volumes/{await service.volume()}/embeddings"
    planned = (await service.http.post(path, json={"extent": "whole"})).json()["windows"]
    other = f"/v1/volumes/{await service.volume(1)}/embeddings"
    async with asyncio.timeout(30):
        while workspace.cache.counters.misses < planned:
            await asyncio.sleep(0.01)
    sent = await service.leave(other, {"extent": "whole"})
    assert sent[0]["status"] == 202
    assert b"event: warmed" not in b"".join(message.get("body", b"") for message in sent)
    await asyncio.sleep(0.1)
    assert workspace.cache.counters.misses < 2 * planned
