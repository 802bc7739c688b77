"""Fuzz parsers, guided by what of them runs::

    python -m tests.fuzz nifti --seconds 60

Ends with 0 where nothing but refusals was raised, else with the bytes that did it in a file. What
was found interesting stays in ``.fuzz/NAME`` for the next time. Several parsers are fuzzed side by
side, and what each of them says is in ``.fuzz/NAME.log``.
"""

import argparse
import os
import resource
import sys
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

import atheris

with atheris.instrument_imports(include=["sammoe.volume", "sammoe.store", "pydicom.filereader"]):
    from tests.fuzz.targets import TARGETS

_SLOW_SECONDS = 20
_MEMORY_MIB = 2048
"""Beyond what a process begins with: the most that its parent had counts as its own."""


def main() -> int:
    """Fuzz until the time is over; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("targets", nargs="+", choices=TARGETS, metavar="target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"))
    args = parser.parse_args()
    args.corpus.mkdir(parents=True, exist_ok=True)
    if len(args.targets) == 1:
        fuzz(args.targets[0], args.seconds, args.corpus)
    running = {name: begin(name, args.seconds, args.corpus) for name in args.targets}
    codes = {
        name: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for name, pid in running.items()
    }
    for name, code in codes.items():
        print(f"{name}: {'only refusals' if code == 0 else f'ended with {code}'}")
    return int(any(codes.values()))


def begin(name: str, seconds: int, corpus: Path) -> int:
    """Fuzz in a process beside this one, which has imported all; return its id."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    with (corpus / f"{name}.log").open("wb") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    fuzz(name, seconds, corpus)


def fuzz(name: str, seconds: int, corpus: Path) -> NoReturn:
    """Fuzz one target, and end with this process."""
    target, found = TARGETS[name], corpus / name
    found.mkdir(exist_ok=True)
    for seed in target.seeds():
        (found / sha256(seed).hexdigest()).write_bytes(seed)
    words = [sys.argv[0], str(found), f"-max_total_time={seconds}"]
    memory = _MEMORY_MIB + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    words += [f"-timeout={_SLOW_SECONDS}", f"-rss_limit_mb={memory}", "-max_len=65536"]
    words += [f"-artifact_prefix={corpus}/", "-print_final_stats=1"]
    atheris.Setup(words, target)
    atheris.Fuzz()
    raise AssertionError("it ends the process")


if __name__ == "__main__":
    sys.exit(main())
