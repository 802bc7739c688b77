import asyncio

import httpx
import pytest

from sammoe.errors import StoreUnavailable
from sammoe.segmentation import Workspace
from tests import scans
from tests.contract.service import NIFTI, PACKED, Service, point, refusal

KEY = {"Idempotency-Key": "click-1"}


def same(one: httpx.Response, other: httpx.Response) -> bool:
    """Whether two answers are one, but for what belongs to the request."""
    own = {"x-request-id", "idempotent-replayed"}
    headers = [{k: v for k, v in r.headers.items() if k not in own} for r in (one, other)]
    return (one.status_code, one.content, headers[0]) == (
        other.status_code,
        other.content,
        headers[1],
    )


@pytest.mark.fault("S19")
@pytest.mark.parametrize("form", ["application/json", PACKED, NIFTI])
async def test_a_click_sent_twice_is_done_once(service: Service, form: str) -> None:
    volume = await service.volume()
    headers = KEY | {"Accept": form}
    first = await service.click(volume, headers=headers)
    second = await service.click(volume, headers=headers)
    assert first.status_code == 201
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert same(first, second)
    listed = (await service.http.get(f"/v1/volumes/{volume}/segmentations")).json()
    assert len(listed["items"]) == 1


@pytest.mark.fault("S19")
async def test_the_key_with_another_request_is_a_conflict(service: Service) -> None:
    volume, other = await service.volume(), await service.volume(1)
    await service.click(volume, headers=KEY)
    for answer in (
        await service.click(volume, headers=KEY, **point(31, 30, 20)),
        await service.click(other, headers=KEY),
        await service.click(volume, headers=KEY | {"Accept": PACKED}),
        await service.http.post(f"/v1/volumes/{volume}/embeddings", headers=KEY),
        await service.add(scans.gzipped(2), headers=KEY),
    ):
        assert refusal(answer) == (409, "idempotency_conflict")


async def test_another_key_is_another_request(service: Service) -> None:
    volume = await service.volume()
    one = await service.click(volume, headers=KEY)
    other = await service.click(volume, headers={"Idempotency-Key": "click-2"})
    assert one.json()["id"] != other.json()["id"]


@pytest.mark.fault("S19")
async def test_two_at_once_are_done_once(service: Service) -> None:
    volume = await service.volume()
    answers = await asyncio.gather(*(service.click(volume, headers=KEY) for _ in range(5)))
    assert all(same(answers[0], answer) for answer in answers)
    replayed = ["Idempotent-Replayed" in answer.headers for answer in answers]
    assert sorted(replayed) == [False, True, True, True, True]


async def test_what_was_refused_may_be_tried_again(service: Service) -> None:
    volume = await service.volume()
    bad = await service.click(volume, headers=KEY, **point(1000, 1, 1))
    assert refusal(bad) == (422, "point_outside")
    assert (await service.click(volume, headers=KEY)).status_code == 201


async def test_an_upload_counts_by_its_file_not_its_form(service: Service) -> None:
    first = await service.add(headers=KEY)
    again = await service.http.post(
        "/v1/volumes", files={"file": ("a", scans.gzipped())}, headers=KEY
    )
    # Replayed as it was: 201, although the volume is there by now.
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert same(first, again)
    other = await service.add(scans.gzipped(1), headers=KEY)
    assert refusal(other) == (409, "idempotency_conflict")


async def test_warming_up_and_undo_take_keys_too(service: Service) -> None:
    volume = await service.volume()
    first = await service.segmentation(volume)
    second = await service.segmentation(volume, parent=first, **point(33, 30, 20))
    for number, path in enumerate(
        (f"/v1/volumes/{volume}/embeddings", f"/v1/segmentations/{second}/undo")
    ):
        headers = {"Idempotency-Key": f"key-{number}"}
        one = await service.http.post(path, headers=headers)
        other = await service.http.post(path, headers=headers)
        assert same(one, other)
        assert other.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\x7f"])
async def test_a_key_that_is_none_is_refused(service: Service, key: str) -> None:
    volume = await service.volume()
    answer = await service.click(volume, headers={"Idempotency-Key": key})
    assert refusal(answer) == (400, "bad_request")


async def test_the_answer_outlives_the_process(workspace: Workspace) -> None:
    async with Service.over(workspace) as service:
        volume = await service.volume()
        first = await service.click(volume, headers=KEY)
    async with Service.over(workspace) as service:
        assert same(first, await service.click(volume, headers=KEY))


@pytest.mark.parametrize("what", ["segmentations", "results", "masks"])
async def test_nothing_is_made_twice_when_a_process_dies_before_its_answer_is_kept(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    async with Service.over(workspace) as service:
        volume = await service.volume()
        first = await service.segmentation(volume)
        entry = {"segmentation": first, "label": "liver"}
        mask = await service.http.get(f"/v1/segmentations/{first}/mask", headers={"Accept": NIFTI})

        async def send() -> httpx.Response:
            if what == "segmentations":
                return await service.click(volume, headers=KEY, **point(31, 30, 20))
            if what == "results":
                path, body = f"/v1/volumes/{volume}/results", {"entries": [entry]}
                return await service.http.post(path, json=body, headers=KEY)
            path = f"/v1/volumes/{volume}/masks"
            return await service.http.post(path, files={"file": mask.content}, headers=KEY)

        with monkeypatch.context() as dying:
            dying.setattr(workspace.store.responses, "put", fail)
            assert refusal(await send()) == (503, "store_unavailable")
        again = await send()
        assert again.status_code == 201
        kind = "results" if what == "results" else "segmentations"
        path = f"/v1/volumes/{volume}/{kind}"
        made = [one["id"] for one in (await service.http.get(path)).json()["items"]]
        assert [name for name in made if name != first] == [again.json()["id"]]


def fail(*_: object) -> None:
    raise StoreUnavailable("the store is away")
