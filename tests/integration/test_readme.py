"""The README's commands and its example, word for word, against a real service."""

import contextlib
import gzip
import io
import re
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests import scans
from tests.integration.serving import Server, sammoe

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
URL = "http://127.0.0.1:8000"


def block(language: str, needle: str) -> str:
    """The one code block of a language that holds a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (found,) = (text for text in blocks if needle in text)
    return str(found)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with ``scan.nii.gz``, in which the README's coordinates are inside."""
    monkeypatch.chdir(tmp_path)
    voxels = (1 + np.indices((150, 160, 110)).sum(axis=0) % 100).astype(np.uint8)
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(scans.as_nifti(voxels, np.eye(4))))
    return tmp_path


def inside(folder: Path) -> np.bool_:
    """Whether the mask holds the voxel that was clicked."""
    image = nib.nifti1.load(folder / "mask.nii.gz")  # type: ignore[no-untyped-call]
    return np.bool_(np.asarray(image.dataobj)[108, 116, 80])


def test_curl(folder: Path, server: Server) -> None:
    commands = block("sh", "curl").replace(URL, server.url)

    subprocess.run(["bash", "-euo", "pipefail", "-c", commands], check=True, timeout=120)

    assert inside(folder)


def test_python(folder: Path, server: Server) -> None:
    code = block("python", "sammoe_client").replace(URL, server.url)
    said = io.StringIO()

    with contextlib.redirect_stdout(said):
        exec(compile(code, "README.md", "exec"), {})

    assert re.fullmatch(r"[\d.]+ ml, drawn by [a-z_]+\n", said.getvalue())
    assert inside(folder)


def test_command_line(folder: Path, bundle: Path) -> None:
    command = block("sh", "sammoe segment").strip().split()
    assert command[0] == "sammoe"

    done = sammoe(*command[1:], "--bundle", bundle)

    assert done.returncode == 0, done.stderr
    assert inside(folder)
