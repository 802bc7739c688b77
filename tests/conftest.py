"""What every test shares: calm threads, the skip policy, hypothesis' profile, real data."""

import os

# Before numpy and torch are imported: spinning OpenMP threads steal the time of tests beside them.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import hypothesis
import pytest

from tests.budgets import Budgets
from tests.skips import SkipPolicy, data_folder, missing_data


def pytest_configure(config: pytest.Config) -> None:
    """Register the skip policy, the budgets and the profile of property tests."""
    in_ci = bool(os.environ.get("CI"))
    config.pluginmanager.register(SkipPolicy(strict=in_ci), "sammoe-skips")
    config.pluginmanager.register(Budgets(), "sammoe-budgets")
    # Times vary on a busy machine; and in CI the same code must give the same answer.
    hypothesis.settings.register_profile(
        "sammoe",
        deadline=None,
        derandomize=in_ci,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("sammoe")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real volumes with masks; the test is skipped where it is absent."""
    if reason := missing_data():
        pytest.skip(reason)
    return data_folder()
