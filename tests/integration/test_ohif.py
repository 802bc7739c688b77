"""Stock OHIF from npm with the extension, in a browser, before a real PACS and the real service."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom import dcmread

from examples.ohif.sample import SERIES, STUDY, sample_study
from scripts import ohif
from tests.integration.ohif import Viewer, browsing
from tests.integration.orthanc_server import PASSWORD, USER, OrthancServer
from tests.integration.serving import serving

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-of-some-length"
HEADERS = {"Authorization": f"Bearer {KEY}"}
SLICES = slice(60, 100)
"""Of the sample study: 40 that have the thalamus and the ventricles."""

THALAMUS, BESIDE, ELSEWHERE = (-10.0, 18.0, 8.0), (-24.0, 18.0, 8.0), (-40.0, -30.0, 8.0)
BOX = (14.0, -6.0, 8.0), (28.0, -26.0, 8.0)
BOXED = (19.0, -20.0, 8.0)
"""LPS, mm; the last is well inside of the mask that the box gives."""


@pytest.fixture(scope="module")
def pacs(orthanc: OrthancServer) -> Iterator[OrthancServer]:
    """Orthanc with a part of the sample study."""
    orthanc.empty()
    orthanc.store(sample_study(SLICES))
    yield orthanc
    orthanc.empty()


@pytest.fixture(scope="module")
def front(pacs: OrthancServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of OHIF, with the demo bundle and that PACS behind it, and a key needed."""
    ohif.provide()
    environment = {
        "SAMMOE_DICOMWEB_URL": pacs.dicomweb,
        "SAMMOE_DICOMWEB_USER": USER,
        "SAMMOE_DICOMWEB_PASSWORD": PASSWORD,
        "SAMMOE_API_KEYS": f"alice:{KEY}",
    }
    flags = ["--ohif", str(ohif.FOLDER), "--ohif-port", "0"]
    state = tmp_path_factory.mktemp("ohif") / "state"
    with serving(ROOT / "model_repo", state, *flags, **environment) as server:
        yield server.beside("OHIF")


def made(front: str) -> list[dict[str, Any]]:
    """Segmentations that the service has, oldest first."""
    with httpx.Client(base_url=front, headers=HEADERS, timeout=60) as http:
        volumes = http.get("/v1/volumes").raise_for_status().json()["items"]
        (volume,) = [one for one in volumes if one["source"]["series"] == SERIES]
        path = f"/v1/volumes/{volume['id']}/segmentations"
        items: list[dict[str, Any]] = http.get(path).raise_for_status().json()["items"]
        return items[::-1]


def wait_answers(viewer: Viewer, front: str, count: int) -> list[dict[str, Any]]:
    """Wait until the panel is done, and the service has so many segmentations."""
    viewer.page.wait_for_selector(".sammoe[aria-busy=false]")
    for _ in range(240):
        found = made(front)
        if len(found) >= count:
            viewer.page.wait_for_selector(".sammoe[aria-busy=false]")
            assert len(found) == count
            return found
        viewer.page.wait_for_timeout(250)
    raise AssertionError(viewer.page.locator(".sammoe").inner_text())


def is_tinted(viewer: Viewer, place: tuple[float, float, float], channel: int) -> bool:
    """Whether a grey image has a colour there."""
    tint = viewer.tint(place)
    others = np.delete(tint, channel)
    return bool(tint[channel] > others.max() + 25)


@pytest.mark.timeout(600)
def test_structures_are_clicked_saved_and_seen_again(
    front: str, pacs: OrthancServer, tmp_path: Path
) -> None:
    with browsing() as viewer:
        page = viewer.page
        page.goto(f"{front}/sammoe?StudyInstanceUIDs={STUDY}")

        # Nobody is let in without a key, and the page says so.
        page.locator(".sammoe-sign-in input").fill("a-key-of-nobody-at-all")
        page.locator(".sammoe-sign-in button").click()
        page.get_by_text("The service does not know this key.").wait_for()
        before = len(viewer.asked("/v1/", "/dicom-web/"))
        page.locator(".sammoe-sign-in input").fill(KEY)
        page.locator(".sammoe-sign-in button").click()
        page.locator(".sammoe [data-sammoe=inside]").wait_for()
        viewer.confirm()
        viewer.show(THALAMUS)
        assert not is_tinted(viewer, THALAMUS, 0)

        # A click, drawn where it was made and nowhere else.
        page.locator("[data-sammoe=inside]").click()
        viewer.click(THALAMUS)
        (first,) = wait_answers(viewer, front, 1)
        viewer.wait_drawn(s1=first["voxel_count"])
        page.wait_for_timeout(500)
        assert is_tinted(viewer, THALAMUS, 0)
        assert not is_tinted(viewer, ELSEWHERE, 0)
        assert first["points"][0]["label"] == 1
        assert page.locator(".sammoe-bar").count() == len(first["route"]["scores"])
        assert page.locator(".sammoe-warning").count() == len(first["warnings"])
        viewer.picture("ohif-click", tmp_path)

        # A correction, live, once the service can be reached again.
        page.route("**/segmentations", lambda route: route.abort())
        page.keyboard.press("s")
        viewer.click(BESIDE)
        page.get_by_text("The service can not be reached.").wait_for()
        page.unroute("**/segmentations")
        page.get_by_text("Try again").click()
        _, second = wait_answers(viewer, front, 2)
        assert second["parent"] == first["id"]
        assert second["points"][1]["label"] == 0
        viewer.wait_drawn(s1=second["voxel_count"])

        # Back, forth, and to the other candidate.
        page.keyboard.press("u")
        viewer.wait_drawn(s1=first["voxel_count"])
        page.keyboard.press("y")
        viewer.wait_drawn(s1=second["voxel_count"])
        page.keyboard.press("u")
        page.locator(".sammoe-status").click()  # Tab is a shortcut where no control has the focus
        page.keyboard.press("Tab")
        page.wait_for_selector(
            "[data-sammoe^=candidate-][aria-pressed=true]:not([data-sammoe$=fused])"
        )
        page.wait_for_selector(".sammoe[aria-busy=false]")
        chosen = viewer.drawn()

        # A name, a second structure, and a box.
        page.locator(".sammoe-structures input").first.fill("Thalamus")
        page.keyboard.press("Enter")
        page.keyboard.press("n")
        page.keyboard.press("b")
        viewer.drag(*BOX)
        *_, boxed = wait_answers(viewer, front, 3)
        assert boxed["parent"] is None
        assert boxed["box"] is not None
        viewer.wait_drawn(s2=boxed["voxel_count"])
        page.wait_for_timeout(500)
        assert is_tinted(viewer, BOXED, 2)
        viewer.picture("ohif", tmp_path)

        # Left without saving, and opened again: all of it is there.
        page.locator("[data-cy=return-to-work-list]").click()
        page.get_by_text("are kept in this tab").wait_for()
        page.go_back()
        viewer.wait_drawn(s1=chosen[1], s2=boxed["voxel_count"])

        page.locator("[data-sammoe=save]").click()
        page.locator(".sammoe-saved").wait_for()
        assert viewer.faults == []
        shown, slice_shown = viewer.drawn(), viewer.slice_drawn(THALAMUS)
        asked = viewer.asked("/v1/", "/dicom-web/")[before:]
        assert len(asked) > 40
        assert set(asked) == {f"Bearer {KEY}"}

    content = seg_of(pacs)
    (tmp_path / "seg.dcm").write_bytes(content)
    seg = dcmread(tmp_path / "seg.dcm")
    # 197 x 233 pixels: OHIF 3.13 would show another mask than a BINARY SEG has.
    assert seg.SegmentationType == "LABELMAP"
    thalamus, boxed_one, _ = seg.SegmentSequence
    assert (thalamus.SegmentLabel, boxed_one.SegmentLabel) == ("Thalamus", "Structure 2")
    assert thalamus.SegmentedPropertyTypeCodeSequence[0].CodeValue == "42695009"
    assert shown[1] == chosen[1]

    # Opened again, by a token in the address: the SEG is there, and shows.
    with browsing() as viewer:
        page = viewer.page
        page.goto(f"{front}/sammoe?StudyInstanceUIDs={STUDY}&token={KEY}")
        page.locator(".sammoe [data-sammoe=inside]").wait_for()
        viewer.confirm()
        viewer.show(THALAMUS)
        page.get_by_text("SEG", exact=True).first.dblclick()
        page.get_by_text("Yes", exact=True).click()
        viewer.wait_drawn(s1=shown[1], s2=shown[2])
        viewer.show(THALAMUS)
        assert viewer.slice_drawn(THALAMUS) == slice_shown
        page.wait_for_timeout(1000)
        viewer.picture("ohif-again", tmp_path)
        assert is_tinted(viewer, THALAMUS, 0)
        assert is_tinted(viewer, BOXED, 2)
        assert set(viewer.asked("/dicom-web/")) == {f"Bearer {KEY}"}
        assert "token" not in page.url


@pytest.mark.timeout(600)
def test_masks_are_drawn_and_undone_in_every_plane(front: str) -> None:
    planes = ("mpr-axial", "mpr-coronal")
    with browsing("mpr-axial") as viewer:
        page = viewer.page
        address = f"{front}/sammoe?StudyInstanceUIDs={STUDY}&hangingprotocolId=mpr&token={KEY}"
        page.goto(address)
        page.locator(".sammoe [data-sammoe=inside]").click()
        viewer.confirm()
        page.wait_for_function("() => window.cornerstone.getEnabledElements().length === 3")
        page.wait_for_timeout(2000)
        x, _, z = page.evaluate(
            "() => window.cornerstone.getEnabledElements()[0].viewport.getCamera().focalPoint"
        )
        for plane in planes:
            viewer.wait_red(plane, wanted=False)
        # A click is for the structure that is chosen when it is made, though it is told later.
        viewer.click((x - 10.0, 18.0, z))
        page.keyboard.press("n")
        for plane in planes:
            viewer.wait_red(plane, wanted=True)
        # Who passes by with the focus chooses nothing; the pointer does.
        name = page.get_by_label("Name of structure 1")
        name.focus()
        assert page.locator("[data-sammoe=undo]").is_disabled()
        name.click()
        page.locator("[data-sammoe=undo]:not([disabled])").click()
        for plane in planes:
            viewer.wait_red(plane, wanted=False)
        assert viewer.faults == []


def seg_of(pacs: OrthancServer) -> bytes:
    """The one SEG that the PACS has."""
    with pacs.client() as http:
        query = {"Level": "Instance", "Query": {"Modality": "SEG"}}
        (name,) = http.post("/tools/find", json=query).raise_for_status().json()
        return http.get(f"/instances/{name}/file").raise_for_status().content
