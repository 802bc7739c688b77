"""A few seconds of guided fuzzing for each parser, all side by side; `make fuzz` takes longer."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

SECONDS = 3
PATIENCE_SECONDS = 240.0
TARGETS = ("nifti", "nrrd", "dicom", "packed", "frame")


@pytest.mark.fault("S05", "S08", "S11")
def test_nothing_but_refusals_is_raised(tmp_path: Path) -> None:
    flags = ["--seconds", str(SECONDS), "--corpus", str(tmp_path)]
    with ExitStack() as stack:
        running = {}
        for name in TARGETS:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz", name, *flags],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            running[name] = stack.enter_context(process)
            stack.callback(process.kill)
        for name, process in running.items():
            said = process.communicate(timeout=PATIENCE_SECONDS)[0]
            assert process.returncode == 0, f"{name}: {said[-4000:]}"
            runs = [line for line in said.splitlines() if "number_of_executed_units" in line]
            assert int(runs[0].split()[-1]) > 10, said[-4000:]
