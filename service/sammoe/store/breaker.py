"""A circuit breaker: who fails again and again is left alone for a while."""

import time
from collections.abc import Callable


class Breaker:
    """Closed while calls succeed, open after some failures in a row.

    An open breaker lets one call through per pause. When one succeeds, it is closed again.

    Parameters
    ----------
    failures
        How many in a row open it.
    pause_seconds
        From a failure to the next trial.
    clock
        Seconds, never going back.
    """

    def __init__(
        self, failures: int, pause_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._failures = failures
        self._pause = pause_seconds
        self._clock = clock
        self._in_a_row = 0
        self._next_trial = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are held back."""
        return self._in_a_row >= self._failures

    def lets_through(self) -> bool:
        """Whether a call may be made now; one that may has to tell how it ended.

        A trial that is cancelled, and so tells nothing, is followed by the next after a pause.
        """
        if not self.is_open:
            return True
        if self._clock() < self._next_trial:
            return False
        self._next_trial = self._clock() + self._pause
        return True

    def succeeded(self) -> None:
        """The call was answered."""
        self._in_a_row = 0

    def failed(self) -> None:
        """The call was not answered."""
        self._in_a_row += 1
        self._next_trial = self._clock() + self._pause
