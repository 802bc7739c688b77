"""The API guide: its commands and programs, typed as they stand, in order."""

import contextlib
import gzip
import io
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from examples.curl_picture import type_commands
from sammoe import errors
from tests import scans
from tests.integration.serving import Server

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "api.md").read_text()
URL = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    """The guide's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Path:
    """A folder with a scan in which the guide's coordinates are inside, after all commands."""
    folder = tmp_path_factory.mktemp("guide")
    voxels = (1 + np.indices((150, 160, 110)).sum(axis=0) % 100).astype(np.uint8)
    (folder / "scan.nii.gz").write_bytes(gzip.compress(scans.as_nifti(voxels, np.eye(4))))
    script = "\n".join(blocks("sh")).replace(URL, server.url)
    words = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert '"code":"point_outside"' in done.stdout
    assert done.stdout.endswith("ready\n")
    return folder


def run(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a program prints in the folder."""
    monkeypatch.chdir(folder)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(program, "api.md", "exec"), {})
    return said.getvalue()


def test_the_page_of_viewers_goes_from_a_scan_to_a_mask(folder: Path, server: Server) -> None:
    (folder / "mask.nii.gz").unlink()
    type_commands(folder, server.url)
    assert (folder / "mask.nii.gz").read_bytes().startswith(b"\x1f\x8b")


def test_the_commands_leave_masks_in_every_form(folder: Path) -> None:
    for name, start in (
        ("mask.nii.gz", b"\x1f\x8b"),
        ("general.nii.gz", b"\x1f\x8b"),
        ("mask.nrrd", b"NRRD"),
        ("mask.sammoe", b"SMSK"),
    ):
        assert (folder / name).read_bytes().startswith(start)
    headers = (folder / "headers.txt").read_text().lower()
    assert "x-segmentation-id: " in headers


def test_the_packed_mask_is_read_as_the_guide_reads_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = next(text for text in blocks("python") if "SMSK" in text or "zlib" in text)
    voxels, count = run(program, folder, monkeypatch).split()
    assert voxels == count
    assert int(count) > 100


def test_the_python_client_works(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = next(text for text in blocks("python") if "httpx" in text)
    said = run(program.replace(URL, server.url), folder, monkeypatch)
    assert re.fullmatch(r"[\d.]+ .*total;dur=[\d.]+\n", said)


def rows_of(page: str) -> set[str]:
    """What the rows of its table of refusals name."""
    return set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| \d{3}\b.*$", page, re.M))))


def test_every_code_is_in_the_table() -> None:
    def codes(kind: type[errors.SammoeError]) -> set[str]:
        own = {kind.code} if kind.__module__ == errors.__name__ else set()
        return own.union(*(codes(child) for child in kind.__subclasses__()))

    # Of a bundle, an export, a data set or a setting: the service does not start with these, or the
    # command line says them; `error` and `forbidden` are only ever said more exactly.
    never_sent = {
        *("bundle_invalid", "checkpoint_invalid", "export_mismatch", "settings_invalid"),
        *("data_set_invalid", "error", "forbidden"),
    }
    listed = rows_of(GUIDE)
    dicom, clients = ((DOCS / f"{name}.md").read_text() for name in ("dicom", "clients"))
    beside = rows_of(dicom) | rows_of(clients) | set(re.findall(r"^\| `(\w+)` \|", dicom, re.M))
    framework = {"method_not_allowed", "internal_server_error"}
    assert codes(errors.SammoeError) - never_sent <= listed | beside
    assert listed - codes(errors.SammoeError) - framework == {"limits", "request_id"}
