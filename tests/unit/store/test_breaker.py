"""When calls are held back, and when one is tried again."""

import pytest

from sammoe.store.breaker import Breaker


class Clock:
    """Goes on when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(3, 2.0, clock)
    for _ in range(3):
        breaker.failed()
    return breaker


def test_it_opens_after_failures_in_a_row_alone() -> None:
    breaker = Breaker(3, 2.0, Clock())
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        assert breaker.lets_through()
        breaker.succeeded()
    assert not breaker.is_open
    for _ in range(3):
        breaker.failed()
    assert breaker.is_open
    assert not breaker.lets_through()


@pytest.mark.fault("F03")
def test_one_trial_a_pause_is_let_through() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 1.9
    assert not breaker.lets_through()
    clock.now = 2.1
    assert [breaker.lets_through() for _ in range(3)] == [True, False, False]
    breaker.failed()
    clock.now = 4.0
    assert not breaker.lets_through()
    clock.now = 4.2
    assert breaker.lets_through()


def test_a_trial_that_succeeds_closes_it() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 2.0
    assert breaker.lets_through()
    breaker.succeeded()
    assert not breaker.is_open
    assert [breaker.lets_through() for _ in range(3)] == [True] * 3


def test_a_trial_that_tells_nothing_is_followed_by_another() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 2.0
    assert breaker.lets_through()
    clock.now = 4.0
    assert breaker.lets_through()
