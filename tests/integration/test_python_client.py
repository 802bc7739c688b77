"""The Python client against real services: restarted, slow, busy; its README; a real PACS."""

import contextlib
import gzip
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from sammoe.volume.limits import ReadLimits
from sammoe.volume.nifti import read_nifti
from sammoe_client import Client, Entry, Retries, Timeouts, errors
from tests import scans
from tests.integration.orthanc_server import PASSWORD, USER, OrthancServer
from tests.integration.serving import Server, serving
from tests.series import as_bytes, mr, series
from tests.support.chaos import ChaosProxy

FOLDER = Path(__file__).parents[2] / "clients" / "python"
URL = "http://127.0.0.1:8000"
PATIENT = Retries(attempts=200, first=0.1, longest=1.0)


@pytest.fixture(scope="module")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(bundle, tmp_path_factory.mktemp("client") / "state") as server:
        yield server


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(scans.gzipped())
    return path


@contextlib.contextmanager
def door_to(server: Server) -> Iterator[ChaosProxy]:
    """A way to the server that can be shut."""
    door = ChaosProxy(server.port)
    yield door
    door.let_go()
    door.shut()


def test_from_a_file_to_a_file(server: Server, scan: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with Client(server.url) as client:
        volume = client.open(scan, on_upload=lambda sent, total: told.append((sent, total)))
        assert told[-1] == (scan.stat().st_size,) * 2
        made = volume.segment(points=[scans.INSIDE]).refine(points=(36, 30, 20), label=0)
        path = made.to_nifti(tmp_path / "mask.nii.gz")
        written = read_nifti(BytesIO(path.read_bytes()), ReadLimits())
        np.testing.assert_array_equal(written.voxels, made.mask)
        np.testing.assert_allclose(written.geometry.affine, made.affine, atol=1e-4)
        assert not list(tmp_path.glob("*.part"))
        steps = list(volume.segmenting(points=[scans.INSIDE]))
        assert steps[-1].mask[scans.INSIDE]


def test_the_readme_as_it_stands(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    voxels = (1 + np.indices((150, 160, 110)).sum(axis=0) % 100).astype(np.uint8)
    Path("scan.nii.gz").write_bytes(gzip.compress(scans.as_nifti(voxels, np.eye(4)), 1))
    names: dict[str, object] = {}
    said = io.StringIO()
    programs = re.findall(
        r"^```python\n(.*?)^```", (FOLDER / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    with contextlib.redirect_stdout(said):
        for program in programs:
            exec(compile(program.replace(URL, server.url), "README.md", "exec"), names)
    assert {"mask.nii.gz", "result.nii.gz", "result.seg.nrrd"} <= {
        p.name for p in tmp_path.iterdir()
    }
    assert "Segmentation" in said.getvalue()
    assert "point_outside" in said.getvalue()


def test_a_server_killed_between_two_clicks(bundle: Path, tmp_path: Path, scan: Path) -> None:
    state = tmp_path / "state"
    with serving(bundle, state) as first, Client(first.url, retries=PATIENT) as client:
        made = client.open(scan).segment(points=[scans.INSIDE])
        first.stop(signal.SIGKILL)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(lambda: made.refine(points=(36, 30, 20), label=0))
            with serving(bundle, state, "--port", str(first.port)):
                refined = waiting.result(60)
                assert refined.info.parent == made.id
                np.testing.assert_array_equal(refined.undo().mask, made.mask)


def test_an_answer_that_is_lost_is_not_made_twice(server: Server, scan: Path) -> None:
    with (
        door_to(server) as door,
        Client(f"http://127.0.0.1:{door.port}", retries=PATIENT) as client,
        Client(server.url) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        volume = client.open(scan)
        seen = other.volume(volume.id)
        before = {one.id for one in seen.segmentations()}
        door.hold()
        waiting = pool.submit(lambda: volume.segment(points=[(22, 30, 20)]))
        while len({one.id for one in seen.segmentations()} - before) < 1:
            time.sleep(0.02)
        # It is made, and its answer is on the way: now the connection breaks.
        door.shut()
        door.let_go()
        door.open()
        made = waiting.result(60)
        assert {one.id for one in seen.segmentations()} - before == {made.id}


def test_a_slow_server_is_given_up_in_time(server: Server, scan: Path) -> None:
    with (
        door_to(server) as door,
        Client(
            f"http://127.0.0.1:{door.port}",
            timeouts=Timeouts(answer=0.3),
            retries=Retries(attempts=2, first=0.01),
        ) as client,
    ):
        door.hold()
        with pytest.raises(errors.TimedOut):
            client.capabilities()
        assert not client.is_ready()
        door.let_go()
        client.open(scan)
    with (
        pytest.raises(errors.Unreachable),
        Client(f"http://127.0.0.1:{door.port}", retries=Retries(attempts=2)) as client,
    ):
        client.capabilities()


def test_a_busy_server_is_asked_again(bundle: Path, tmp_path: Path, scan: Path) -> None:
    """One request at a time is served, and the rest is told to come again."""
    with (
        serving(bundle, tmp_path / "state", "--limit-concurrency", "1") as server,
        Client(server.url, retries=PATIENT) as client,
        ThreadPoolExecutor(4) as pool,
        server.client() as http,
    ):
        volume = client.open(scan)
        places = [(20 + 3 * n, 30, 20) for n in range(4)]
        made = list(pool.map(lambda place: volume.segment(points=place), places))
        for place, one in zip(places, made, strict=True):
            assert one.mask[place]
        assert len({one.id for one in volume.segmentations()}) == len(places)
        page = http.get("/metrics").text
        assert re.search(r'requests_total{.*status="503"} \d', page)


def test_a_series_goes_to_the_pacs_and_back(
    bundle: Path, tmp_path: Path, orthanc: OrthancServer
) -> None:
    orthanc.empty()
    images = series(mr((41, 37, 14), 5), modality="MR", intercept=0, uid="1.2.826.0.1.92")
    orthanc.store(map(as_bytes, images))
    pacs = {
        "SAMMOE_DICOMWEB_URL": orthanc.dicomweb,
        "SAMMOE_DICOMWEB_USER": USER,
        "SAMMOE_DICOMWEB_PASSWORD": PASSWORD,
    }
    with serving(bundle, tmp_path / "state", **pacs) as server, Client(server.url) as client:
        assert client.capabilities().dicomweb
        study = str(images[0].StudyInstanceUID)
        (found,) = client.find_series(study=study)
        assert (found.modality, found.instances) == ("MR", 14)
        assert list(client.find_series(since=date(1900, 1, 1), until=date(1900, 1, 2))) == []
        assert client.warm_study(study) == 1
        volume = client.open_series(found.study, found.series)
        made = volume.segment(points=[(16, 18, 6)])
        result = volume.add_result([Entry(made, "Lesion")])
        sent = result.store(["seg", "rtstruct"])
        assert [one.form for one in sent] == ["seg", "rtstruct"]
        own = dcmread(result.to_seg(tmp_path / "seg.dcm"))
        assert own.SOPInstanceUID == sent[0].instance
        assert {one.modality for one in client.find_series(study=study)} == {
            "MR",
            "SEG",
            "RTSTRUCT",
        }
        with pytest.raises(errors.SeriesMissing):
            client.open_series(study, "1.2.3")


def test_it_is_installed_by_itself(tmp_path: Path) -> None:
    """The wheel has the package with its types, and works without anything of the service."""
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
    ]
    source = tmp_path / "source"
    subprocess.run(["cp", "-r", str(FOLDER), str(source)], check=True)
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    program = "import sammoe_client; print(sammoe_client.__file__, sammoe_client.Client())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(wheel)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(wheel) in done.stdout
