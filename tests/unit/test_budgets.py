import re
from pathlib import Path

import pytest

from tests.budgets import MINUTES, kind_of


def test_the_time_of_each_kind_is_told(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MINUTES, "unit", 0.0)
    pytester.makeconftest("""
        from tests.budgets import Budgets

        def pytest_configure(config):
            config.pluginmanager.register(Budgets())
    """)
    for name in ("tests/unit/test_a.py", "tests/property/test_b.py", "test_c.py"):
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("def test_it(): pass\n")

    result = pytester.runpytest_inprocess(
        "-p", "no:xdist", "-p", "no:asyncio", "--import-mode=importlib"
    )

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*time by kind*"])
    lines = {line.split()[0]: line for line in result.outlines if re.match(r"\w+ +[\d.]+ s", line)}
    assert lines["unit"].endswith(" s of 0 s  OVER BUDGET")
    assert lines["property"].endswith(" s of 240 s")
    assert lines["other"].endswith(" s")


def test_kinds() -> None:
    assert kind_of("tests/unit/volume/test_crop.py::test_it[1]") == "unit"
    assert kind_of("tests/test_it.py::test_it") == "other"


def test_every_budget_is_in_the_testing_page() -> None:
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs" / "testing.md").read_text()

    rows = dict(re.findall(r"^\| `tests/(\w+)/` \| .* \| (\d+) \|$", page, re.MULTILINE))

    assert rows == {kind: f"{minutes:.0f}" for kind, minutes in MINUTES.items()}
