import pytest

from sammoe.errors import RateExceeded
from sammoe.segmentation.allowances import Allowances


class Clock:
    """Stands still unless it is told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.fault("S27")
def test_a_minute_s_worth_may_be_taken_at_once() -> None:
    clock = Clock()
    allowances = Allowances(30, clock)
    for _ in range(30):
        allowances.take("ann")
    with pytest.raises(RateExceeded) as refused:
        allowances.take("ann")
    assert refused.value.retry_seconds == pytest.approx(2.0)
    clock.seconds += 2.0
    allowances.take("ann")
    with pytest.raises(RateExceeded):
        allowances.take("ann")


def test_a_purse_holds_no_more_than_a_minute_s() -> None:
    clock = Clock()
    allowances = Allowances(2, clock)
    allowances.take("ann")
    clock.seconds += 3600.0
    for _ in range(2):
        allowances.take("ann")
    with pytest.raises(RateExceeded):
        allowances.take("ann")


@pytest.mark.fault("S27")
def test_each_has_a_purse_and_idle_ones_are_forgotten() -> None:
    clock = Clock()
    allowances = Allowances(1, clock)
    for number in range(5000):
        allowances.take(f"tenant {number}")
        clock.seconds += 0.1
    assert len(allowances._purses) < 2000
    with pytest.raises(RateExceeded):
        allowances.take("tenant 4999")


def test_without_a_limit_nothing_is_counted() -> None:
    allowances = Allowances(0)
    for _ in range(1000):
        allowances.take("ann")
