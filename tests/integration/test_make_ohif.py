"""`make ohif`: all of it starts, has a scan to click on, and ends with nothing left running."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from examples.ohif.sample import SERIES, STUDY
from scripts import ohif
from tests.integration.serving import SILENT, START_SECONDS

ROOT = Path(__file__).resolve().parents[2]


def test_it_starts_with_a_scan_and_ends(tmp_path: Path) -> None:
    ohif.provide()
    output = tmp_path / "output"
    command = [sys.executable, "-m", "examples.ohif", "--port", "0"]
    with (
        output.open("w") as written,
        subprocess.Popen(
            command, cwd=ROOT, env=SILENT, stdout=written, stderr=subprocess.STDOUT
        ) as process,
    ):
        end = time.monotonic() + START_SECONDS
        while (found := re.search(r"OHIF +(http://\S+)", output.read_text())) is None:
            assert time.monotonic() < end, output.read_text()
            assert process.poll() is None, output.read_text()
            time.sleep(0.2)
        with httpx.Client(base_url=found[1], timeout=60) as http:
            assert "<title>OHIF Viewer</title>" in http.get("/").text
            (study,) = http.get("/dicom-web/studies").raise_for_status().json()
            assert study["0020000D"]["Value"] == [STUDY]
            wanted = {"dicomweb": {"study": STUDY, "series": SERIES}}
            volume = http.post("/v1/volumes", json=wanted).raise_for_status().json()
            assert (volume["shape"], volume["modality"]) == ([197, 233, 189], "MR")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    try:
        httpx.get(found[1], timeout=5)
    except httpx.ConnectError:
        return
    raise AssertionError("the service still answers")
