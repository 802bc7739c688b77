"""A progress bar for what takes longer than two seconds."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Never

from tqdm import tqdm

PATIENCE_SECONDS: Final = 2.0
"""Nothing is shown for anything shorter."""

_REFRESH_SECONDS: Final = 0.2


class Steps:
    """A bar over a known number of steps, with the running step's name and the time so far."""

    def __init__(self, bar: "tqdm[Never]") -> None:
        self._bar = bar
        self._done = -1

    def begin(self, name: str) -> None:
        """End the step before and begin the next."""
        self._done += 1
        self._bar.n = self._done
        self._bar.set_description_str(name, refresh=False)


@contextmanager
def steps(total: int, *, patience: float = PATIENCE_SECONDS) -> Iterator[Steps]:
    """Show a bar on stderr while the context lasts, once it has lasted ``patience`` seconds.

    Nothing is drawn where stderr is no terminal: a log would get five lines a second.
    """
    bar: tqdm[Never] = tqdm(
        total=total,
        file=sys.stderr,
        disable=None,
        delay=patience,
        leave=False,
        bar_format="{desc}: {bar:20} step {n_fmt} of {total_fmt} done, {elapsed}",
    )
    ended, shown = threading.Event(), threading.Event()

    def refresh() -> None:
        # The bar moves by itself: a step is one long call that reports nothing.
        waited = ended.wait(patience)
        while not waited:
            shown.set()
            bar.refresh()
            waited = ended.wait(_REFRESH_SECONDS)

    thread = threading.Thread(target=refresh, daemon=True)
    thread.start()
    try:
        yield Steps(bar)
    finally:
        ended.set()
        thread.join()
        if shown.is_set():
            bar.clear()
        bar.close()
