"""The selector's arithmetic gives equal bytes in this interpreter and in Triton's, whose numpy is
older than 2."""

import subprocess
from pathlib import Path

import numpy as np

from sammoe import engine
from sammoe.tritonserver import find_environment
from tests.integration.triton.cases import digest

SELECTOR = Path(engine.__file__).with_name("selector.py")


def test_both_numpys_give_the_same_bytes(environment: None) -> None:
    python = find_environment(None).root / "bin" / "python"
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import numpy; from pathlib import Path;"
        " from cases import digest; print(numpy.__version__, digest(Path(sys.argv[2])))"
    )
    done = subprocess.run(
        [python, "-c", program, Path(__file__).parent, SELECTOR],
        capture_output=True,
        text=True,
        check=True,
    )
    version, found = done.stdout.split()
    assert version.startswith("1.26.")
    assert int(np.__version__.partition(".")[0]) >= 2
    assert found == digest(SELECTOR)
