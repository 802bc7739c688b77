"""The page that the service serves, with the demo bundle, in headless Chromium."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import expect

from sammoe.volume.packed import unpack
from scripts import viewer
from tests.integration.orthanc_server import PASSWORD, USER, OrthancServer
from tests.integration.serving import serving
from tests.integration.viewer_page import AXE, CHROMIUM, ROOT, SAMPLE, Plane, ViewerPage, browsing
from tests.series import STUDY, Series, as_bytes, series

pytestmark = pytest.mark.integration

BUNDLE = ROOT / "model_repo"
SHAPE = (145, 181, 155)
MIDDLE = 77
"""Slice in which the sample is shown at first."""

THALAMUS = (82, 86)
"""A voxel of that slice, i and j."""

LESS = (82, 100)

PACKED = {"Accept": "application/vnd.sammoe.mask"}


@pytest.fixture
def shown() -> Iterator[ViewerPage]:
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium (apt-get install chromium)")
    if not (AXE.exists() and (viewer.BUILT / "index.html").exists()):
        pytest.skip("no page (make viewer)")
    with browsing() as page:
        yield page
        assert page.faults == []


def segmentations(http: httpx.Client, volume: str) -> list[dict[str, Any]]:
    """Newest first."""
    items: list[dict[str, Any]] = http.get(f"/v1/volumes/{volume}/segmentations").json()["items"]
    return items


def mask(
    http: httpx.Client,
    segmentation: str,
    candidate: str = "fused",
    shape: tuple[int, int, int] = SHAPE,
) -> NDArray[np.uint8]:
    query = {"candidate": candidate}
    answer = http.get(f"/v1/segmentations/{segmentation}/mask", params=query, headers=PACKED)
    pasted, found = unpack(answer.raise_for_status().content)
    assert found == shape
    return pasted.full(shape)


def spot_of(
    voxels: NDArray[np.bool_], axial: Plane, *clicks: tuple[int, int]
) -> tuple[float, float]:
    """The place of one of a plane's voxels, well inside, away from clicks and cross hairs."""
    wide = voxels.copy()
    for i, j in clicks or (THALAMUS, LESS):
        wide[i - 4 : i + 5] = False
        wide[:, j - 4 : j + 5] = False
    inner = wide.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(wide, step, axis)
    assert inner.any()
    i, j = np.argwhere(inner)[0]
    return axial.spot(i, j)


def test_clicks_are_seen_refined_named_kept_and_found_again(
    shown: ViewerPage, tmp_path: Path
) -> None:
    with serving(BUNDLE, tmp_path / "state") as server, server.client() as http:
        page = shown.page
        shown.open(server.url)
        shown.wait_for_scan()  # the sample: nothing was there
        assert "/viewer/#volume=" in page.url
        volume = shown.address()["volume"]
        axial = shown.plane(SHAPE)

        page.mouse.click(*axial.spot(*THALAMUS))
        shown.wait_for_answer(1)
        [first] = segmentations(http, volume)
        i, j, k = first["points"][0]["position"]
        assert abs(i - THALAMUS[0]) <= 1, "left and right are not mixed up"
        assert abs(j - THALAMUS[1]) <= 1
        assert k == MIDDLE
        plane = mask(http, first["id"])[:, :, MIDDLE].astype(bool)
        inside, outside = spot_of(plane, axial), axial.spot(60, 150)
        shown.expect_coloured(inside, coloured=True)
        shown.expect_coloured(outside, coloured=False)

        page.keyboard.press("Control+z")
        shown.expect_coloured(inside, coloured=False)
        page.keyboard.press("Control+y")
        shown.expect_coloured(inside, coloured=True)

        page.keyboard.down("Shift")
        page.mouse.click(*axial.spot(*LESS))
        page.keyboard.up("Shift")
        shown.wait_for_answer(2)
        second = segmentations(http, volume)[0]
        assert second["parent"] == first["id"]
        assert [point["label"] for point in second["points"]] == [1, 0]

        # Tab shows what else there is; what is kept stays the answer.
        page.keyboard.press("Tab")
        expect(page.locator(".candidates [aria-pressed=true]")).not_to_have_text("Answer")
        expect(page.get_by_text("Shown and saved in place of the answer.")).to_be_visible()
        other = page.locator(".candidates [aria-pressed=true]").inner_text().lower()
        differing = mask(http, second["id"], other) != mask(http, second["id"])
        if differing[:, :, MIDDLE].sum() > 200:
            spot = spot_of(differing[:, :, MIDDLE], axial)
            before = shown.is_coloured(spot)
            page.keyboard.press("Tab")
            shown.expect_coloured(spot, coloured=not before)
        page.get_by_role("group", name="Candidates").get_by_text("Answer").click()

        # A second structure, by a box, and names for both.
        shown.button("New").click()
        page.locator(".marks").focus()
        page.keyboard.press("3")
        page.mouse.move(*axial.spot(60, 60))
        page.mouse.down()
        page.mouse.move(*axial.spot(45, 45), steps=4)
        page.mouse.up()
        shown.wait_for_answer(3)
        boxed = segmentations(http, volume)[0]
        (low, high) = boxed["box"]
        assert boxed["parent"] is None
        assert [abs(low[0] - 45) <= 1, abs(high[0] - 60) <= 1] == [True, True]
        assert low[2] < MIDDLE < high[2], "a flat box gets a depth"
        name = page.get_by_label("Name of Structure 1")
        # To pass by, or to change a name, chooses no other structure; Enter does.
        name.fill("Thalamus, right")
        rows = page.locator(".structures li")
        expect(rows.nth(1)).to_have_attribute("aria-current", "true")
        name.press("Enter")
        expect(rows.nth(0)).to_have_attribute("aria-current", "true")

        assert shown.violations() == []

        result = shown.wait_kept()
        with page.expect_download() as download:
            shown.button("NIfTI").click()
        saved = Path(download.value.path()).read_bytes()
        kept = http.get(f"/v1/results/{result}").json()
        assert [entry["label"] for entry in kept["entries"]] == ["Thalamus, right", "Structure 2"]
        assert [entry["segmentation"] for entry in kept["entries"]] == [second["id"], boxed["id"]]
        assert saved == http.get(f"/v1/results/{result}/mask").content
        assert download.value.suggested_filename == "result.nii.gz"

        page.reload()
        shown.wait_for_scan()
        expect(page.get_by_label("Name of Thalamus, right")).to_have_value("Thalamus, right")
        refined = mask(http, second["id"])[:, :, MIDDLE].astype(bool)
        again = spot_of(refined, axial)
        shown.expect_coloured(again, coloured=True)
        page.get_by_label("Name of Thalamus, right").click()
        page.locator(".marks").focus()
        page.keyboard.press("Control+z")
        page.keyboard.press("Control+z")
        shown.expect_coloured(again, coloured=False)


def test_a_folder_is_opened_and_its_seg_saved(shown: ViewerPage, tmp_path: Path) -> None:
    folder = tmp_path / "series"
    folder.mkdir()
    for number, image in enumerate(brain_series()):
        (folder / f"{number}.dcm").write_bytes(as_bytes(image))
    (folder / "notes.txt").write_text("no image")
    with serving(BUNDLE, tmp_path / "state") as server, server.client() as http:
        page = shown.page
        shown.open(server.url)
        shown.wait_for_scan()
        shown.button("Open").click()
        assert shown.violations() == []
        page.get_by_label("Choose a file").set_input_files(folder / "notes.txt")
        expect(page.get_by_role("alert").filter(has_text="NIfTI")).to_be_visible()
        page.get_by_label("Choose a folder").set_input_files(folder)
        expect(page.locator(".scan")).to_contain_text("series: 96 × 120 × 40")
        axial = shown.plane((96, 120, 40))
        page.mouse.click(*axial.spot(54, 56))
        shown.wait_for_answer(1)
        [answer] = segmentations(http, shown.address()["volume"])
        result = shown.wait_kept()
        with page.expect_download() as download:
            shown.button("DICOM SEG").click()
        saved = Path(download.value.path()).read_bytes()
        assert saved == http.get(f"/v1/results/{result}/seg").content
        # The axes of the page run against those of the volume.
        plane = mask(http, answer["id"], shape=(96, 120, 40))[::-1, ::-1, 20].astype(bool)
        shown.expect_coloured(spot_of(plane, axial, (54, 56)), coloured=True)
        page.keyboard.press("?")
        assert shown.violations() == []


def test_a_service_that_is_away_is_told_and_waited_for(shown: ViewerPage, tmp_path: Path) -> None:
    page = shown.page
    with serving(BUNDLE, tmp_path / "state") as server:
        shown.open(server.url)
        shown.wait_for_scan()
        axial = shown.plane(SHAPE)
        server.process.kill()
        server.process.wait()
    alert = page.get_by_role("alert").filter(has_text="does not answer")
    page.mouse.click(*axial.spot(*THALAMUS))
    expect(alert).to_contain_text("1 click waits")
    page.mouse.click(*axial.spot(*LESS), button="right")
    page.mouse.click(*axial.spot(60, 60))
    expect(alert).to_contain_text("3 clicks wait")
    page.keyboard.press("Control+z")
    expect(alert).to_contain_text("2 clicks wait")
    assert shown.violations() == []
    with serving(BUNDLE, tmp_path / "state", "--port", str(server.port)) as server:
        # They are asked for again, without a click.
        shown.wait_for_answer(2)
        expect(alert).to_be_hidden()
        with server.client() as http:
            second, first = segmentations(http, shown.address()["volume"])
        assert second["parent"] == first["id"]
        assert [point["label"] for point in second["points"]] == [1, 0]


def test_scans_changed_quickly_end_with_the_last_and_its_masks(
    shown: ViewerPage, tmp_path: Path
) -> None:
    page, first_shape, last_shape = shown.page, (80, 100, 40), (96, 120, 40)
    sample = nibabel.Nifti1Image.from_bytes(gzip.decompress(SAMPLE.read_bytes()))
    parts = sample.slicer[28:108, 40:140, 57:97], sample.slicer[28:124, 30:150, 57:97]
    with serving(BUNDLE, tmp_path / "state") as server, server.client() as http:
        files = ({"file": part.to_bytes()} for part in parts)
        answers = (http.post("/v1/volumes", files=file).raise_for_status() for file in files)
        first, last = (answer.json()["id"] for answer in answers)
        click = {"space": "voxel", "points": [{"position": [54, 56, 20], "label": 1}]}
        answer = http.post(f"/v1/volumes/{last}/segmentations", json=click).json()
        entry = {"segmentation": answer["id"], "label": "Kept"}
        http.post(f"/v1/volumes/{last}/results", json={"entries": [entry]}).raise_for_status()
        page.goto(f"{server.url}/viewer/#volume={first}")
        shown.wait_for_scan()
        # A click, and away before its answer; then to and fro while scans and masks are fetched.
        for volume, pause_ms in ((last, 0), (first, 100), (last, 0)):
            page.mouse.click(*shown.plane(first_shape).spot(54, 46))
            page.evaluate("hash => { location.hash = hash; }", f"volume={volume}")
            page.wait_for_timeout(pause_ms)
        expect(page.locator(".scan")).to_contain_text("96 × 120 × 40")
        expect(page.get_by_label("Name of Kept")).to_be_visible()
        plane = mask(http, answer["id"], shape=last_shape)[:, :, 20].astype(bool)
        spot = spot_of(plane, shown.plane(last_shape), (54, 56))
        shown.expect_coloured(spot, coloured=True)
        assert shown.address()["volume"] == last
        # The other one has nothing of it.
        page.go_back()
        expect(page.locator(".scan")).to_contain_text("80 × 100 × 40")
        expect(page.get_by_label("Name of Kept")).to_have_count(0)
        assert shown.address()["volume"] == first


def test_a_key_is_asked_for_and_kept_in_the_tab_alone(shown: ViewerPage, tmp_path: Path) -> None:
    page, key = shown.page, "alices-key-of-enough-letters"
    with serving(BUNDLE, tmp_path / "state", "--api-keys", f"alice:{key}") as server:
        shown.open(server.url)
        field = page.get_by_label("This service asks for a key.")
        field.fill("not-a-key-of-anybody")
        field.press("Enter")
        expect(page.get_by_text("That key is not known here.")).to_be_visible()
        assert shown.violations() == []
        field.fill(key)
        field.press("Enter")
        shown.wait_for_scan()
        page.reload()
        shown.wait_for_scan()
        assert key not in page.url
        assert page.evaluate("JSON.stringify([localStorage, document.cookie])") == '[{},""]'


def test_a_study_of_the_pacs_is_opened_and_its_seg_stored(
    shown: ViewerPage, tmp_path: Path, orthanc: OrthancServer
) -> None:
    orthanc.empty()
    orthanc.store(map(as_bytes, brain_series()))
    other = tmp_path / "servers.toml"
    other.write_text(
        f'[research]\nurl = "{orthanc.dicomweb}"\nuser = "{USER}"\npassword = "{PASSWORD}"\n'
    )
    environment = {
        "SAMMOE_DICOMWEB_URL": orthanc.dicomweb,
        "SAMMOE_DICOMWEB_USER": USER,
        "SAMMOE_DICOMWEB_PASSWORD": PASSWORD,
        "SAMMOE_DICOMWEB_FILE": str(other),
    }
    with serving(BUNDLE, tmp_path / "state", **environment) as server, server.client() as http:
        page = shown.page
        shown.open(server.url)
        shown.wait_for_scan()
        shown.button("Open").click()
        shown.button("Look").click()
        expect(page.locator(".studies summary").filter(has_text="Doe Jane")).to_be_visible()
        # The other PACS is listed without names, and gets the SEG of what is opened from it.
        page.get_by_label("PACS", exact=True).select_option("research")
        expect(page.get_by_text("listed without names")).to_be_visible()
        assert shown.violations() == []
        shown.button("Look").click()
        page.locator(".studies summary").filter(has_text=STUDY).click()
        page.locator(".studies .volume:enabled").click()
        expect(page.locator(".scan")).to_contain_text("96 × 120 × 40")
        # Its axes run to the left and back; the page shows them as those of any other scan.
        axial = shown.plane((96, 120, 40))
        page.mouse.click(*axial.spot(54, 56))
        shown.wait_for_answer(1)
        [answer] = segmentations(http, shown.address()["volume"])
        i, j, _ = answer["points"][0]["position"]
        assert abs(i - (95 - 54)) <= 1
        assert abs(j - (119 - 56)) <= 1
        # The other two planes are those that it is taken for, and the right way round.
        for name, across, up in (("coronal", 0, 2), ("sagittal", 1, 2)):
            before = segmentations(http, shown.address()["volume"])
            wanted = {0: 50, 1: 60, 2: 25}
            plane = shown.plane((96, 120, 40), name)
            page.mouse.click(*plane.spot(wanted[across], wanted[up]))
            shown.wait_for_answer(len(before) + 1)
            i, j, k = segmentations(http, shown.address()["volume"])[0]["points"][-1]["position"]
            found_at = {0: 95 - i, 1: 119 - j, 2: k}
            assert abs(found_at[across] - wanted[across]) <= 1
            assert abs(found_at[up] - wanted[up]) <= 1
        shown.button("Store SEG in the PACS").click()
        expect(page.get_by_text("The SEG is in research.")).to_be_visible()
        found = http.post("/v1/dicomweb/search", json={"study": STUDY}).json()["items"]
        assert {one["modality"] for one in found} == {"MR", "SEG"}


def brain_series() -> Series:
    """A part of the sample as an MR series: columns to the left, rows to the back."""
    sample = np.asarray(
        nibabel.Nifti1Image.from_bytes(gzip.decompress(SAMPLE.read_bytes())).dataobj
    )
    part = sample[28:124, 30:150, 57:97][::-1, ::-1].astype(np.int16)
    affine = np.diag([-1.0, -1, 1, 1])
    return series(part, affine, modality="MR", intercept=0)
