import re

import httpx
import numpy as np
import pytest

from sammoe.segmentation import Workspace
from sammoe.volume.packed import unpack
from tests import scans
from tests.bundles import BALL_VOXELS
from tests.contract.service import EXPERT, PACKED, Service, point, pointers, refusal

MODEL_MM = 1.5


async def test_a_click_becomes_a_segmentation(service: Service) -> None:
    volume = await service.volume()
    answer = await service.click(volume, expert="general")
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["Location"] == f"/v1/segmentations/{made['id']}"
    assert answer.headers["X-Segmentation-Id"] == made["id"]
    assert (made["volume"], made["parent"], made["expert"]) == (volume, None, "general")
    assert made["refined"] is None
    assert made["points"] == [{"position": list(map(float, scans.INSIDE)), "label": 1}]
    assert made["route"]["used"] == "general"
    assert made["candidates"] == ["general"]
    ball_ml = 4 / 3 * np.pi * (BALL_VOXELS * MODEL_MM) ** 3 / 1000
    assert made["volume_ml"] == pytest.approx(ball_ml, rel=0.1)
    assert made["voxel_count"] * np.prod(scans.SPACING) / 1000 == pytest.approx(made["volume_ml"])


async def test_looking_at_it_again_measures_it(service: Service) -> None:
    volume = await service.volume()
    made = (await service.click(volume, expert="general")).json()
    seen = (await service.http.get(f"/v1/segmentations/{made['id']}")).json()
    assert {key: seen[key] for key in made} == made
    diameter = 2 * BALL_VOXELS * MODEL_MM
    assert seen["diameters"]["longest_mm"] == pytest.approx(diameter, abs=2)
    assert seen["diameters"]["perpendicular_mm"] == pytest.approx(diameter, abs=2)
    low, high = np.array(seen["bounding_box"])
    assert (low <= scans.INSIDE).all()
    assert (high >= scans.INSIDE).all()
    assert (high - low + 1) * scans.SPACING == pytest.approx(diameter, abs=3)


async def test_server_timing_tells_the_phases_and_the_cache(service: Service) -> None:
    volume = await service.volume()
    first, second = await service.click(volume), await service.click(volume)
    phases = r"(\w+);dur=\d+\.\d\d"
    assert re.findall(phases, first.headers["Server-Timing"]) == [
        *("queue", "read", "crop", "encode", "decode", "paste", "store"),
        "total",
    ]
    assert 'cache;desc="miss"' in first.headers["Server-Timing"]
    assert 'cache;desc="hit"' in second.headers["Server-Timing"]
    assert "encode" not in second.headers["Server-Timing"]


async def test_the_mask_can_come_with_the_answer(service: Service) -> None:
    volume = await service.volume()
    answer = await service.click(volume, headers={"Accept": PACKED})
    assert (answer.status_code, answer.headers["Content-Type"]) == (201, PACKED)
    pasted, shape = unpack(answer.content)
    assert shape == scans.SHAPE
    seen = (await service.http.get(answer.headers["Location"])).json()
    assert seen["id"] == answer.headers["X-Segmentation-Id"]
    assert seen["voxel_count"] == np.count_nonzero(pasted.mask)
    assert "total;dur=" in answer.headers["Server-Timing"]


@pytest.mark.parametrize(("space", "sign"), [("ras", 1), ("lps", -1)])
async def test_millimetres_find_the_same_place(service: Service, space: str, sign: int) -> None:
    volume = await service.volume()
    x, y, z, _ = scans.AFFINE @ (*scans.INSIDE, 1)
    answer = await service.click(volume, **point(sign * x, sign * y, z, space=space))
    position = answer.json()["points"][0]["position"]
    assert position == pytest.approx(list(scans.INSIDE))
    assert answer.json()["space"] == "voxel"


async def test_refining_counts_all_clicks(service: Service) -> None:
    volume = await service.volume()
    first = await service.segmentation(volume)
    x, y, z = scans.INSIDE
    answer = await service.click(volume, parent=first, **point(x + 6, y, z, label=0))
    refined = answer.json()
    assert (refined["parent"], refined["refined"]) == (first, "fused")
    assert [click["label"] for click in refined["points"]] == [1, 0]
    before = (await service.http.get(f"/v1/segmentations/{first}")).json()
    assert len(before["points"]) == 1
    assert refined["voxel_count"] != before["voxel_count"]


async def test_undo_is_to_go_back_to_the_parent(service: Service) -> None:
    volume = await service.volume()
    first = await service.segmentation(volume)
    second = await service.segmentation(volume, parent=first, **point(33, 30, 20))
    back = await service.http.post(f"/v1/segmentations/{second}/undo")
    assert (back.status_code, back.json()["id"]) == (200, first)
    assert (await service.http.get(f"/v1/segmentations/{second}")).status_code == 200
    nothing = await service.http.post(f"/v1/segmentations/{first}/undo")
    assert refusal(nothing) == (409, "conflict")


async def test_a_box_alone_will_do(service: Service) -> None:
    volume = await service.volume()
    box = [[20.0, 20.0, 12.0], [40.0, 42.0, 28.0]]
    answer = await service.click(volume, space="voxel", box=box)
    assert answer.status_code == 201
    assert answer.json()["box"] == box
    assert answer.json()["points"] == []


async def test_an_expert_can_be_named_and_tau_be_set(service: Service) -> None:
    volume = await service.volume()
    named = (await service.click(volume, expert=EXPERT)).json()
    assert named["route"]["used"] == EXPERT
    assert named["candidates"] == ["expert"]
    mixed = (await service.click(volume, tau=0.0)).json()
    assert mixed["route"]["fused"] is True
    assert mixed["route"]["tau"] == 0.0
    assert set(mixed["candidates"]) == {"general", "expert", "fused"}
    alone = (await service.click(volume, tau=1.0)).json()
    assert (alone["route"]["fused"], alone["route"]["top"]) == (False, EXPERT)


async def test_what_makes_an_answer_doubtful_is_told_and_kept(service: Service) -> None:
    volume = await service.volume()
    clear = (await service.click(volume)).json()
    assert clear["warnings"] == []
    beside = point(30.4, 30, 20, label=0)
    refined = (await service.click(volume, parent=clear["id"], **beside)).json()
    (doubt,) = refined["warnings"]
    assert doubt["code"] == "prompt_not_met"
    assert doubt["detail"].startswith("1 of 2 points")
    kept = (await service.http.get(f"/v1/segmentations/{refined['id']}")).json()
    assert kept["warnings"] == refined["warnings"]


async def test_segmentations_are_listed_newest_first_in_pages(service: Service) -> None:
    volume, other = await service.volume(), await service.volume(1)
    ids = [await service.segmentation(volume) for _ in range(3)]
    await service.segmentation(other)
    path = f"/v1/volumes/{volume}/segmentations"
    first = (await service.http.get(f"{path}?limit=2")).json()
    assert [item["id"] for item in first["items"]] == [ids[2], ids[1]]
    rest = (await service.http.get(f"{path}?limit=2&cursor={first['next']}")).json()
    assert ([item["id"] for item in rest["items"]], rest["next"]) == ([ids[0]], None)


async def test_a_deleted_segmentation_is_gone_alone(service: Service) -> None:
    volume = await service.volume()
    first = await service.segmentation(volume)
    second = await service.segmentation(volume, parent=first, **point(33, 30, 20))
    answer = await service.http.delete(f"/v1/segmentations/{first}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert refusal(await service.http.get(f"/v1/segmentations/{first}")) == (404, "not_found")
    assert refusal(await service.http.delete(f"/v1/segmentations/{first}")) == (404, "not_found")
    assert (await service.http.get(f"/v1/segmentations/{second}")).status_code == 200
    undo = await service.http.post(f"/v1/segmentations/{second}/undo")
    assert refusal(undo) == (409, "conflict")


@pytest.mark.fault("S15", "S16")
@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({}, "prompt_empty", "/points"),
        ({"space": "voxel", "points": []}, "prompt_empty", "/points"),
        (point(30, 30, 20, label=0), "only_negative_points", "/points"),
        (point(60, 30, 20), "point_outside", "/points/0"),
        (point(-1, 30, 20), "point_outside", "/points/0"),
        (point(1e308, 30, 20), "point_outside", "/points/0"),
        (point(1e308, 1e308, -1e308, space="ras"), "point_outside", "/points/0"),
        ({"space": "voxel", "box": [[1, 1, 1], [9, 9, 90]]}, "point_outside", "/box/1"),
        ({"space": "voxel", "box": [[9, 1, 1], [1, 9, 9]]}, "prompt_invalid", "/box"),
        (point(30, 30, 20) | {"expert": "Doe"}, "expert_unknown", "/expert"),
    ],
)
async def test_a_prompt_that_can_not_be_used_is_refused(
    service: Service, body: dict[str, object], code: str, pointer: str
) -> None:
    path = f"/v1/volumes/{await service.volume()}/segmentations"
    answer = await service.http.post(path, json=body)
    assert refusal(answer) == (422, code)
    assert pointers(answer) == [pointer]
    assert "Doe" not in answer.text


POSITION = '{"space": "voxel", "points": [{"position": [%s], "label": 1}]}'
LABEL = '{"space": "voxel", "points": [{"position": [1, 1, 1], "label": %s}]}'


@pytest.mark.fault("S15")
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (POSITION % "1, 1, NaN", "/points/0/position/2"),
        (POSITION % "Infinity, 1, 1", "/points/0/position/0"),
        (POSITION % "1, -Infinity, 1", "/points/0/position/1"),
        (POSITION % "1, 1e999, 1", "/points/0/position/1"),
        (
            POSITION % 'true, "1", null',
            "/points/0/position/0 /points/0/position/1 /points/0/position/2",
        ),
        (POSITION % "1, 1", "/points/0/position/2"),
        (POSITION % "1, 1, 1, 1", "/points/0/position"),
        (LABEL % "true", "/points/0/label"),
        (LABEL % "7", "/points/0/label"),
        (LABEL % "-1", "/points/0/label"),
        (LABEL % '"1"', "/points/0/label"),
        (LABEL % "1.0", "/points/0/label"),
        ('{"points": [{"position": [1, 1, 1], "label": 1}]}', "/space"),
        ('{"box": [[1, 1, 1], [2, 2, 2]]}', "/space"),
        ('{"space": "pixel"}', "/space"),
        ('{"space": "voxel", "image": "/etc/passwd", "device": "cuda"}', "/image /device"),
        ('{"space": "voxel", "tau": NaN}', "/tau"),
        ('{"space": "voxel", "tau": true}', "/tau"),
        ('{"space": "voxel", "tau": 1.5}', "/tau"),
        ('{"space": "voxel", "expert": 7}', "/expert"),
        ('{"space": "voxel", "a/b~c": 7}', "/a~1b~0c"),
        ("[]", ""),
        ("null", ""),
        ('"Doe^John"', ""),
    ],
)
async def test_a_body_of_another_form_is_refused_with_pointers(
    service: Service, body: str, pointer: str
) -> None:
    answer = await service.http.post(
        f"/v1/volumes/{await service.volume()}/segmentations",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    assert refusal(answer) == (422, "invalid_input")
    assert sorted(pointers(answer)) == sorted(pointer.split(" "))
    assert not re.search("Doe|passwd|1e999", answer.text)


@pytest.mark.fault("S16")
async def test_more_points_than_the_limit_are_refused(service: Service) -> None:
    volume = await service.volume()
    points = [{"position": [1, 1, 1], "label": 1}] * 1025
    answer = await service.click(volume, space="voxel", points=points)
    assert refusal(answer) == (422, "invalid_input")
    assert pointers(answer) == ["/points"]


@pytest.mark.fault("S17")
async def test_the_parent_must_be_there_and_of_this_volume(service: Service) -> None:
    volume, other = await service.volume(), await service.volume(1)
    elsewhere = await service.segmentation(other)
    answer = await service.click(volume, parent=elsewhere)
    assert refusal(answer) == (409, "conflict")
    assert pointers(answer) == ["/parent"]
    for name in ("0" * 26, "../..", "Doe"):
        assert refusal(await service.click(volume, parent=name)) == (404, "not_found")


async def test_a_query_that_the_route_does_not_have_is_not_ignored(service: Service) -> None:
    volume = await service.volume()
    answer = await service.http.post(
        f"/v1/volumes/{volume}/segmentations?tau=0.3&expert=Doe", json=point(*scans.INSIDE)
    )
    assert refusal(answer) == (422, "invalid_input")
    assert pointers(answer) == ["tau", "expert"]
    assert "Doe" not in answer.text


@pytest.mark.fault("S31")
async def test_forms_that_there_are_not_are_refused_before_any_work(
    service: Service, workspace: Workspace
) -> None:
    volume = await service.volume()
    answer = await service.click(volume, headers={"Accept": "image/png"})
    assert refusal(answer) == (406, "not_acceptable")
    assert (await workspace.list_segmentations("local", volume)).items == ()


@pytest.mark.fault("S29")
async def test_two_refinements_of_one_parent_are_both_kept(service: Service) -> None:
    volume = await service.volume()
    parent = await service.segmentation(volume)
    children = {
        await service.segmentation(volume, parent=parent, **point(x, 30, 20)) for x in (28, 33)
    }
    assert len(children) == 2
    for child in children:
        seen: httpx.Response = await service.http.get(f"/v1/segmentations/{child}")
        assert seen.json()["parent"] == parent
