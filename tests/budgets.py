"""How long each kind of test took, beside what it may take; ``docs/testing.md`` has the reasons."""

from collections import defaultdict
from typing import Final

import pytest

MINUTES: Final = {
    "unit": 12.0,
    "property": 4.0,
    "contract": 3.0,
    "integration": 22.0,
    "faults": 2.0,
    "gpu": 2.0,
}
"""Budget by folder under ``tests``: minutes of one core of a small machine, with coverage."""


class Budgets:
    """Pytest plugin: a line per kind of test at the end of a run."""

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Add up setup, call and teardown of all tests by kind."""
        seconds: defaultdict[str, float] = defaultdict(float)
        for reports in terminalreporter.stats.values():
            for report in reports:
                if isinstance(report, pytest.TestReport):
                    seconds[kind_of(report.nodeid)] += report.duration
        if not seconds:
            return
        terminalreporter.section("time by kind")
        for kind, spent in sorted(seconds.items()):
            budget = MINUTES.get(kind)
            over = "  OVER BUDGET" if budget is not None and spent > 60 * budget else ""
            of = "" if budget is None else f" of {60 * budget:.0f} s"
            terminalreporter.line(f"{kind:<12} {spent:6.1f} s{of}{over}")


def kind_of(nodeid: str) -> str:
    """The folder under ``tests`` that a test is in."""
    parts = nodeid.split("::")[0].split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "tests" else "other"
