"""The notebook, run as it stands, on the demo bundle and a DICOM series."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import nibabel as nib
import numpy as np
import pytest
from nbclient import NotebookClient
from pydicom import dcmread

from loadtests.bench_orientations import template_scan
from tests.integration.serving import SILENT, Server, serving
from tests.series import as_bytes, series

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(ROOT / "model_repo", tmp_path_factory.mktemp("notebook") / "state") as server:
        yield server


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]


def test_it_is_kept_without_outputs() -> None:
    for cell in read().cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_it_runs(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan, reference = template_scan("thalamus", margin=30)
    folder, out = tmp_path / "series", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    images = series(scan.voxels, scan.affine, modality="MR", intercept=0)
    for number, content in enumerate(map(as_bytes, images)):
        (folder / f"{number:03}.dcm").write_bytes(content)
    for name in os.environ.keys() - SILENT.keys():
        monkeypatch.delenv(name)
    monkeypatch.setenv("SAMMOE_URL", server.url)
    monkeypatch.setenv("SAMMOE_SCAN", str(folder))
    monkeypatch.setenv("SAMMOE_OUT", str(out))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "clients" / "python"))
    notebook = read()
    NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
    pictures = [
        output.data["image/png"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 3
    assert min(map(len, pictures)) > 10_000
    mask = np.asarray(nib.Nifti1Image.from_filename(out / "mask.nii.gz").dataobj) != 0
    both = 2 * (mask & reference).sum() / (mask.sum() + reference.sum())
    assert both > 0.5
    (segment,) = dcmread(out / "seg.dcm").SegmentSequence
    assert segment.SegmentLabel == "Thalamus"
    assert (out / "result.seg.nrrd").read_bytes().startswith(b"NRRD")
