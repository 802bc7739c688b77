"""The parts of OHIF's extension that need no browser, by node's own test runner."""

import subprocess
import sys
from pathlib import Path

CLIENTS = Path(__file__).resolve().parents[2] / "clients"
FOLDER = CLIENTS / "ohif"


def test_the_extension_s_own_tests_pass() -> None:
    tests = sorted((FOLDER / "test").glob("*.test.js"))
    assert len(tests) == 6
    node = Path(sys.executable).with_name("node")
    done = subprocess.run([node, "--test", *tests], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_types_fit_each_other() -> None:
    """By the compiler that the page at /viewer/ is built with: `make viewer` brings it."""
    node = Path(sys.executable).with_name("node")
    compiler = CLIENTS / "viewer" / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run([node, compiler, "-p", FOLDER], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
