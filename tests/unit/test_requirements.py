"""The lock files: whole, hashed, agreeing with each other, and without torch."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("serve", "demo", "dev")


def pins(lock: str) -> dict[str, str]:
    """Version by name."""
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def required(*extras: str) -> set[str]:
    """Names that pyproject.toml requires."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return {re.split(r"[^A-Za-z0-9-]", line)[0].lower() for line in lines}


@pytest.mark.parametrize(
    ("lock", "extras"), [("serve", ()), ("demo", ("demo",)), ("dev", ("demo", "dev"))]
)
def test_a_lock_holds_all_that_is_required(lock: str, extras: tuple[str, ...]) -> None:
    assert required(*extras) - pins(lock).keys() == set()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    entries = re.findall(r"^[a-z0-9-]+==.*(?:\n    .*)*", text, re.MULTILINE)

    assert len(entries) == len(pins(lock))
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize(("smaller", "larger"), [("serve", "demo"), ("demo", "dev")])
def test_locks_agree(smaller: str, larger: str) -> None:
    assert pins(smaller).items() <= pins(larger).items()


def test_what_training_needs_is_in_the_lock_of_tests_but_for_torch() -> None:
    assert required("train") - required() - pins("dev").keys() == {"torch"}


def test_serving_has_no_torch() -> None:
    assert not pins("serve").keys() & {"torch", "onnx", "safetensors", "nilearn"}
    assert "torch" not in pins("demo").keys() | pins("dev").keys()


def test_serving_imports_no_torch() -> None:
    code = (
        "import sys, sammoe.api, sammoe.cli.serve, sammoe.cli.segment; print([name for name in"
        " ('torch', 'onnx', 'sammoe.model', 'sammoe.training', 'sammoe.export')"
        " if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
