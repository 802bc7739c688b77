"""The demo, whole: real service, real template, real clicks; only the weights are arithmetic."""

from pathlib import Path

import matplotlib as mpl
import nibabel as nib
import numpy as np
import pytest

from examples.demo import __main__ as demo
from examples.demo.service import DemoError, running


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of results for the demo to read."""
    path = tmp_path / "results.md"
    path.write_text("demo: thalamus, 3 clicks, 0.60\n")
    monkeypatch.setattr(demo, "RESULTS", path)
    return path


def test_it_clicks_writes_and_judges(
    bundle: Path, tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    code = demo.run("thalamus", bundle, out)

    said = capsys.readouterr().out
    assert code == 0, said
    rows = [line.split() for line in said.splitlines() if line.endswith(("made", "cached"))]
    # These weights miss by so much that each click is far from the one before: another window.
    assert [row[-1] for row in rows] == ["made", "made", "made"]
    mask = np.asarray(nib.nifti1.load(out / "thalamus.nii.gz").dataobj)  # type: ignore[no-untyped-call]
    assert mask.shape == (197, 233, 189)
    assert np.count_nonzero(mask) > 2000
    picture = mpl.image.imread(out / "thalamus.png")
    assert picture.shape[1] > 2 * picture.shape[0] > 1000
    turquoise = (picture[..., 1] > 0.7) & (picture[..., 0] < 0.4)
    assert np.count_nonzero(turquoise) > 500


def test_a_dice_too_low_is_a_failure(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.judge("thalamus", 0.56) == 0
    assert demo.judge("thalamus", 0.54) == 1
    assert "more than 0.05 under" in capsys.readouterr().err


def test_a_dice_that_nothing_records_is_a_failure_that_says_what_to_do(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.judge("putamen", 0.9) == 1
    assert "add the line demo: putamen, 3 clicks, 0.900" in capsys.readouterr().err


def test_a_service_that_does_not_start_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"did not start: .*bundle\.json"), running(tmp_path):
        pytest.fail("it can not be ready")
