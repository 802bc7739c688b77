"""How many windows each principal may have embedded in a minute: embedding is what costs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sammoe.errors import RateExceeded

_REMEMBERED: Final = 1024
"""Principals, before those who have used nothing of late are forgotten."""


@dataclass
class _Purse:
    left: float
    counted: float


class Allowances:
    """A purse for each principal: a minute's worth at most, filled evenly. For one event loop.

    Parameters
    ----------
    per_minute
        0: no limit.
    clock
        Seconds, never going back.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._full = float(per_minute)
        self._clock = clock
        self._purses: dict[str, _Purse] = {}

    def take(self, principal: str) -> None:
        """Take one window's worth.

        Raises
        ------
        RateExceeded
            The purse is empty; the error says how long it takes to fill.
        """
        if not self._full:
            return
        moment, speed = self._clock(), self._full / 60.0
        if len(self._purses) > _REMEMBERED:
            self._forget(moment, speed)
        purse = self._purses.setdefault(principal, _Purse(self._full, moment))
        purse.left = min(self._full, purse.left + speed * (moment - purse.counted))
        purse.counted = moment
        if purse.left < 1.0:
            raise RateExceeded(
                f"{self._full:.0f} windows may be embedded in a minute for one principal: wait.",
                retry_seconds=(1.0 - purse.left) / speed,
            )
        purse.left -= 1.0

    def _forget(self, moment: float, speed: float) -> None:
        """Drop purses that are full by now: a new one is the same."""
        self._purses = {
            name: purse
            for name, purse in self._purses.items()
            if purse.left + speed * (moment - purse.counted) < self._full
        }
