"""The parts of OHIF's extension that need no browser, by node's own test runner."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "clients" / "ohif"


def test_the_extension_s_own_tests_pass() -> None:
    tests = sorted((FOLDER / "test").glob("*.test.js"))
    assert len(tests) == 6
    node = Path(sys.executable).with_name("node")
    done = subprocess.run([node, "--test", *tests], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_every_module_can_be_parsed() -> None:
    node = Path(sys.executable).with_name("node")
    for module in FOLDER.glob("*.js"):
        done = subprocess.run([node, "--check", module], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
