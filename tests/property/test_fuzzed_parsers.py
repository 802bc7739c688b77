"""A few seconds of guided fuzzing for each parser, all side by side; `make fuzz` takes longer."""

import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 3
PATIENCE_SECONDS = 240.0
TARGETS = ("nifti", "nrrd", "dicom", "packed", "frame")


@pytest.mark.fault("S05", "S08", "S11")
def test_nothing_but_refusals_is_raised(tmp_path: Path) -> None:
    flags = ["--seconds", str(SECONDS), "--corpus", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *TARGETS, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    said = {name: (tmp_path / f"{name}.log").read_text(errors="replace") for name in TARGETS}
    assert done.returncode == 0, [done.stdout, *(text[-2000:] for text in said.values())]
    for name, text in said.items():
        runs = [line for line in text.splitlines() if "number_of_executed_units" in line]
        assert int(runs[0].split()[-1]) > 10, f"{name}: {text[-4000:]}"
