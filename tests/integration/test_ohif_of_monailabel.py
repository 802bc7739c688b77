"""The OHIF inside of MONAI Label's unmodified wheel, before this service and a real PACS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.ohif.sample import STUDY, sample_study
from tests.integration.ohif import browsing
from tests.integration.orthanc_server import PASSWORD, USER, OrthancServer
from tests.integration.serving import serving

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = next(ROOT.glob(".venv-monailabel/lib/python*/site-packages"))
OHIF = PACKAGES / "monailabel" / "endpoints" / "static" / "ohif"
THALAMUS, ELSEWHERE = (-10.0, 18.0, 7.0), (-40.0, -30.0, 7.0)
"""LPS, mm."""

_READY = """() => {
  const found = window.cornerstone?.getEnabledElements() ?? [];
  return found.some(one => one.viewportId === 'mpr-axial' && one.viewport.getActors().length > 0);
}"""
_DRAWN = """() => {
  const { segmentationService } = window.services;
  const [one] = segmentationService.getSegmentations();
  const volume = one && segmentationService.getLabelmapVolume(one.segmentationId ?? one.id);
  if (!volume) return 0;
  return volume.voxelManager.getCompleteScalarDataArray().filter(Boolean).length;
}"""


@pytest.fixture(scope="module")
def front(orthanc: OrthancServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of MONAI Label's protocol with OHIF under it, and the PACS behind it."""
    orthanc.empty()
    orthanc.store(sample_study(slice(60, 100)))
    environment = {
        "SAMMOE_DICOMWEB_URL": orthanc.dicomweb,
        "SAMMOE_DICOMWEB_USER": USER,
        "SAMMOE_DICOMWEB_PASSWORD": PASSWORD,
    }
    flags = ["--monailabel-port", "0", "--monailabel-ohif", str(OHIF)]
    state = tmp_path_factory.mktemp("monailabel-ohif") / "state"
    with serving(ROOT / "model_repo", state, *flags, **environment) as server:
        yield server.beside("MONAI Label")
    orthanc.empty()


@pytest.mark.timeout(600)
def test_a_click_is_drawn_where_it_was_made(front: str, tmp_path: Path) -> None:
    with browsing("mpr-axial") as viewer:
        page = viewer.page
        page.goto(f"{front}/ohif/monai-label?StudyInstanceUIDs={STUDY}")
        page.wait_for_function(_READY)
        page.get_by_text("Confirm and Hide").click()
        page.locator("#monailabelServerURL").fill(f"{front}/")
        page.locator(".settingsTable button").click()
        page.get_by_text("SAM-Med3D-MoE, demo").wait_for()
        page.locator("label[for=tab-3]").click()
        page.get_by_text("structure", exact=True).click()
        before = viewer.around(THALAMUS), viewer.around(ELSEWHERE)

        viewer.click(THALAMUS)
        page.wait_for_timeout(1000)
        with page.expect_response(lambda got: "/infer/sam_med3d_moe" in got.url) as sent:
            page.locator('button[title="Run PointPrompts"]').click()
        assert sent.value.status == 200
        page.wait_for_function(f"() => ({_DRAWN})() > 0")
        page.wait_for_timeout(2000)

        viewer.picture("monailabel-ohif", tmp_path)
        after = viewer.around(THALAMUS), viewer.around(ELSEWHERE)
        here, there = (abs(a - b).max(axis=-1) > 12 for a, b in zip(after, before, strict=True))
        assert here.mean() > 0.4
        assert there.mean() < 0.05
        assert page.evaluate(_DRAWN) == sum(sent.value.body()[-197 * 233 * 40 :])
        assert viewer.faults == []
