"""Commands in an order, each run once: a step whose result is there is not run again."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**33)}
"""For glibc: keep memory that is freed, as the next training step wants it again. By default large
tensors go back to the kernel, and clearing their pages anew takes a sixth of a step."""


@dataclass(frozen=True)
class Step:
    """One command of ``sammoe`` and what it leaves behind.

    Attributes
    ----------
    words
        What stands behind ``sammoe``.
    result
        File or folder; when it is there, the step was done.
    """

    words: Sequence[str | Path]
    result: Path


def run(steps: Sequence[Step], jobs: int = 1) -> None:
    """Run what was not yet run, one after another, or a few side by side.

    Parameters
    ----------
    jobs
        More than one only for steps that do not need each other.
    """
    waiting = [step for step in steps if not step.result.exists()]
    running: list[tuple[Step, subprocess.Popen[bytes]]] = []
    while waiting or running:
        while waiting and len(running) < jobs:
            step = waiting.pop(0)
            words = [str(word) for word in step.words]
            print("$ sammoe", *words, flush=True)
            command = [sys.executable, "-m", "sammoe", *words]
            running.append((step, subprocess.Popen(command, env=_MEMORY | os.environ)))
        for pair in [pair for pair in running if pair[1].poll() is not None]:
            running.remove(pair)
            if pair[1].returncode:
                for _, other in running:
                    other.terminate()
                raise SystemExit(f"failed: sammoe {' '.join(map(str, pair[0].words))}")
        time.sleep(0.2)
