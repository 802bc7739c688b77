"""Fifteen experts behind one gate, as in the paper's Fig. 4: ``python -m studies.fifteen``.

Structures of the torso phantoms, each with an expert of its own; nothing of it ships. Needs
``runs/data/torsos_fifteen`` of ``python -m studies.datasets``. Tables and both bar charts are in
``OUT/tables``. Up to the bundle a quarter of an hour on a large GPU with 16 cores.
"""

import argparse
import sys
from pathlib import Path

from studies.datasets import FIFTEEN
from studies.demo import PHANTOMS, Task, add_arguments, mixture
from studies.steps import Step, run

DATA = "torsos_fifteen"
CASES = "6"
TASKS = tuple(
    Task(
        name,
        (DATA,),
        name.replace("_", " "),
        "99SAMMOE:phantom:Structure of a phantom",
        "CT",
        PHANTOMS,
        "Apache-2.0",
        windows=2,
        prompts=3000,
        others=(DATA,),
        same_as=("torsos", "torsos_mr"),
    )
    for name in FIFTEEN
)


def main() -> int:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser, Path("runs/fifteen"), minutes=1)
    args = parser.parse_args()
    bundle = mixture(TASKS, (DATA,), args)
    tested = ["--data", args.data / DATA, "--limit-cases", CASES, "--jobs", str(args.jobs)]
    run([Step(["calibrate", "--bundle", bundle, *tested], bundle / "calibration.csv")])
    words = ["evaluate", "--bundle", bundle, *tested, "--clicks", "3"]
    words += ["--out", args.out / "tables"]
    run([Step(words, args.out / "tables" / "tables.md")])
    return 0


if __name__ == "__main__":
    sys.exit(main())
