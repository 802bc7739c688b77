"""When a test may be skipped: the policy, and the list at the end of a run.

A run with the environment variable ``CI`` set promises that everything it can have is there, so
only two reasons to skip are accepted: no GPU (or none that a certain program can use), and no
folder of real data. Any other skip (a missing program, a missing package) is then a failure. Every
skip is listed at the end, CI or not.
"""

import os
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

NO_GPU: Final = "no GPU: torch finds no CUDA device"
"""Reason to skip a test marked ``gpu``; always accepted."""

NO_GPU_FOR: Final = "no GPU for"
"""Begins the reason to skip where torch has a GPU and something else can not use it; accepted."""

DATA_VARIABLE: Final = "SAMMOE_TEST_DATA"
"""Environment variable: the folder of real volumes with masks."""

DEFAULT_DATA: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Where that folder is looked for without the variable: ``shared/data`` beside the project."""

_ACCEPTED: Final = (NO_GPU, NO_GPU_FOR, DATA_VARIABLE)


@cache
def has_gpu() -> bool:
    """Whether torch can use a GPU here."""
    import torch

    return torch.cuda.is_available()


def data_folder() -> Path:
    """The folder of real data, there or not."""
    return Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)


def missing_data() -> str | None:
    """The reason to skip a test marked ``data``; None when the folder is there."""
    folder = data_folder()
    return None if folder.is_dir() else f"{DATA_VARIABLE}: no folder {folder}"


class SkipPolicy:
    """Pytest plugin: skips by marker, the rule for CI, and the list of skips."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip what is marked ``gpu`` or ``data`` where there is none."""
        if item.get_closest_marker("gpu") and not has_gpu():
            pytest.skip(NO_GPU)
        if item.get_closest_marker("data") and (reason := missing_data()):
            pytest.skip(reason)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn a skip that CI does not accept into a failure."""
        report = yield
        self._judge(report)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """The same for a whole module, e.g. skipped by ``pytest.importorskip``."""
        report = yield
        self._judge(report)
        return report

    def _judge(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not self._strict or not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = skip_reason(report)
        if not reason.startswith(_ACCEPTED):
            report.outcome = "failed"
            report.longrepr = f"skipped although CI is set: {reason}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List every skipped test with its reason."""
        skipped = terminalreporter.getreports("skipped")
        if not skipped:
            return
        terminalreporter.section(f"{len(skipped)} skipped")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {skip_reason(report)}")


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a skipped test was skipped."""
    longrepr = report.longrepr
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")
