"""What every test shares: calm threads, the skip policy, hypothesis' profile, real data."""

import os

# Before numpy and torch are imported: spinning OpenMP threads steal the time of tests beside them.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before tests import ONNX Runtime by itself: as sammoe does.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from tests.budgets import Budgets
from tests.faults.report import Reliability, seeing
from tests.skips import SkipPolicy, data_folder, missing_data


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--reliability``: write the page of faults from this run."""
    parser.addoption("--reliability", action="store_true", help="write docs/reliability.md")


def pytest_configure(config: pytest.Config) -> None:
    """Register the skip policy, the budgets and the profile of property tests."""
    in_ci = bool(os.environ.get("CI"))
    config.pluginmanager.register(SkipPolicy(strict=in_ci), "sammoe-skips")
    config.pluginmanager.register(Budgets(), "sammoe-budgets")
    _trace_less()
    write = bool(config.getoption("reliability"))
    config.pluginmanager.register(Reliability(write=write), "sammoe-reliability")
    # Times vary on a busy machine; and in CI the same code must give the same answer.
    hypothesis.settings.register_profile(
        "sammoe",
        deadline=None,
        derandomize=in_ci,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("sammoe")


def _trace_less() -> None:
    """Where coverage is counted, start processes with ``support/startup``, workers as well."""
    if "COVERAGE_PROCESS_CONFIG" not in os.environ:
        return
    folder = str(Path(__file__).parent / "support" / "startup")
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if folder not in others:
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *others])


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real volumes with masks; the test is skipped where it is absent."""
    if reason := missing_data():
        pytest.skip(reason)
    return data_folder()


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says in words what a test saw of its case, for the page of faults."""
    return seeing(request)
