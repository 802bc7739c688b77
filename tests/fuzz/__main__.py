"""Fuzz one parser, guided by what of it runs::

    python -m tests.fuzz nifti --seconds 60

Ends with 0 where nothing but refusals was raised, else with the bytes that did it in a file. What
was found interesting stays in ``.fuzz/NAME`` for the next time.
"""

import argparse
import resource
import sys
from hashlib import sha256
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sammoe.volume", "sammoe.store", "pydicom.filereader"]):
    from tests.fuzz.targets import TARGETS

_SLOW_SECONDS = 20
_MEMORY_MIB = 2048
"""Beyond what a process begins with: the most that its parent had counts as its own."""


def main() -> None:
    """Fuzz until the time is over."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"))
    args = parser.parse_args()
    target, corpus = TARGETS[args.target], args.corpus / args.target
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / sha256(seed).hexdigest()).write_bytes(seed)
    words = [sys.argv[0], str(corpus), f"-max_total_time={args.seconds}"]
    memory = _MEMORY_MIB + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    words += [f"-timeout={_SLOW_SECONDS}", f"-rss_limit_mb={memory}", "-max_len=65536"]
    words += [f"-artifact_prefix={args.corpus}/", "-print_final_stats=1"]
    atheris.Setup(words, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
