"""The OHIF inside of MONAI Label's unmodified wheel, before this service and a real PACS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.ohif.sample import STUDY, sample_study
from tests.integration.ohif import browsing
from tests.integration.orthanc_server import PASSWORD, USER, OrthancServer
from tests.integration.serving import serving

ROOT = Path(__file__).resolve().parents[2]
OHIF = next(ROOT.glob(".venv-monailabel/lib/python*/site-packages/monailabel/endpoints/static/ohif"))
THALAMUS, ELSEWHERE = (-10.0, 18.0, 8.0), (-40.0, -30.0, 8.0)
"""LPS, mm."""


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
        assert server.process.stdout is not None
        yield server.process.stdout.readline().split()[-1]
    orthanc.empty()


def test_a_click_is_drawn_where_it_was_made(front: str, tmp_path: Path) -> None:
    with browsing() as viewer:
        page = viewer.page
        page.goto(f"{front}/ohif/monai-label?StudyInstanceUIDs={STUDY}")
        viewer.confirm()
        page.wait_for_timeout(20000)
        viewer.picture("monailabel-ohif", tmp_path)
        (tmp_path / "page.html").write_text(page.content())
