"""The demo bundle and its tables, from a general checkpoint: ``python -m studies.demo``.

Needs the folders of ``python -m studies.datasets``. What is there is not made again, so a run that
was stopped goes on. The bundle ends up in ``OUT/bundle``: copy it to ``model_repo`` with
``sammoe bundle publish OUT/bundle --to model_repo``.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sammoe.bundle import load_bundle
from studies.datasets import SEEN
from studies.heads import HEAD_CLASSES
from studies.steps import Step, run


@dataclass(frozen=True)
class Task:
    """One expert: its name and class, where it is labelled, and what the manifest says of it."""

    name: str
    sets: tuple[str, ...]
    label: str
    code: str
    modality: str
    data: str
    licence: str
    windows: int
    """Embedded per training scan: few for many patients, many for few."""
    prompts: int = 1000
    """Simulated for the head."""
    others: tuple[str, ...] = ()
    """Data sets whose other labels its head learns to leave alone."""
    same_as: tuple[str, ...] = ()
    """Domains of random prompts that show the structure, too, where ``--general`` is a bundle."""


_MSD = "hippocampus task of the Medical Segmentation Decathlon, also pasted into synthetic heads"
_STS = "soft-tissue sarcoma collection of TCIA"
_MR = ("hippocampus", "heads", "sarcoma_mr")
_CT = ("torsos_seen", "sarcoma_ct")
PHANTOMS = "synthetic torso phantoms of this project"
TASKS = (
    Task(
        "hippocampus_anterior",
        ("hippocampus", "heads"),
        "hippocampus, anterior part",
        "SCT:5366008:Hippocampus",
        "MR",
        _MSD,
        "CC BY-SA 4.0",
        windows=6,
        prompts=1800,
        others=_MR,
    ),
    Task(
        "hippocampus_posterior",
        ("hippocampus", "heads"),
        "hippocampus, posterior part",
        "SCT:5366008:Hippocampus",
        "MR",
        _MSD,
        "CC BY-SA 4.0",
        windows=6,
        prompts=1800,
        others=_MR,
    ),
    Task(
        "sarcoma_mr",
        ("sarcoma_mr",),
        "soft-tissue sarcoma",
        "SCT:424413001:Sarcoma",
        "MR",
        _STS,
        "CC BY 3.0",
        windows=10,
        others=_MR,
    ),
    Task(
        "sarcoma_ct",
        ("sarcoma_ct",),
        "soft-tissue sarcoma",
        "SCT:424413001:Sarcoma",
        "CT",
        _STS,
        "CC BY 3.0",
        windows=10,
        others=_CT,
    ),
    Task(
        "pancreas",
        ("torsos",),
        "pancreas",
        "SCT:15776009:Pancreas",
        "CT",
        PHANTOMS,
        "Apache-2.0",
        windows=6,
        others=_CT,
    ),
    Task(
        "oesophagus",
        ("torsos",),
        "oesophagus",
        "SCT:32849002:Esophagus",
        "CT",
        PHANTOMS,
        "Apache-2.0",
        windows=6,
        others=_CT,
    ),
)
LR = "5e-4"
"""Of experts at this size; the paper's 1e-4 is for the full one."""

NEGATIVES = "960"
"""Random prompts that ship: as many as a bundle of 20 MB has room for."""

GATE_PROMPTS = 400
"""Of each expert, for joint and paper gates; a joint one has as many again of general classes."""

CASES = "12"
"""Of each data set, in tables: a test patient of every kind takes some minutes."""

BUDGET = ("0.01", "box=0.004")
"""General Dice that may be lost on calibration patients."""

DOMAINS = ("torsos", "torsos_mr", "heads", "hippocampus", "sarcoma_mr", "sarcoma_ct")
"""Data sets of every kind of image that the demo serves: random prompts come from all of them."""

LABELLED = ("hippocampus", "heads", "sarcoma_mr", "sarcoma_ct", "torsos_seen")
"""What joint and paper gates learn from: the experts' classes, and half of the general ones."""

TESTED = ("hippocampus", "heads", "sarcoma_mr", "sarcoma_ct", "torsos")


def main() -> int:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser, Path("runs/demo"), minutes=5)
    args = parser.parse_args()
    bundle = mixture(TASKS, DOMAINS, args)
    tested = [*_sets(TESTED, args.data), "--limit-cases", CASES, "--jobs", str(args.jobs)]
    # The other gates stay as in the paper, with tau .5 and no check: calibrated are heads alone.
    joint, paper = gate_bundles(bundle, ("joint", "paper"), LABELLED, args)
    words: list[str | Path] = ["calibrate", "--bundle", bundle, *tested, "--per-expert"]
    run([Step([*words, "--budget", *BUDGET], bundle / "calibration.csv")])
    words = ["evaluate", "--bundle", bundle, joint, paper, *tested]
    words += ["--downstream", "sarcoma_mr", "--seen", *SEEN, *HEAD_CLASSES]
    run([Step([*words, "--out", args.out / "tables"], args.out / "tables" / "tables.md")])
    return 0


def add_arguments(parser: argparse.ArgumentParser, out: Path, *, minutes: float) -> None:
    """Arguments that every bundle of experts has."""
    general = Path("runs/general/general.safetensors")
    parser.add_argument("--data", type=Path, default=Path("runs/data"))
    parser.add_argument(
        "--general",
        type=Path,
        default=general,
        help="checkpoint; or a bundle, whose experts of the same names then go on learning",
    )
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--minutes", type=float, default=minutes, help="for each expert")
    parser.add_argument(
        "--steps", type=int, help="of each expert, whatever time they take on a busy machine"
    )
    parser.add_argument("--batch", type=int, default=8, help="prompts of an expert's step")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--seed", type=int, default=0, help="of experts and gates")
    parser.add_argument("--bfloat16", action="store_true", help="where processors are fast at it")


def mixture(tasks: Sequence[Task], domains: Sequence[str], args: argparse.Namespace) -> Path:
    """A bundle with an expert and its head for each task, in their order.

    ``domains``: data sets of every kind of image to be served. Random prompts come from all of
    them, and ship with the general decoder: they are what each head learns not to claim.
    """
    if args.general.is_dir():
        bare = negatives = _without_experts(args.general, args.out)
    else:
        bare, negatives = args.out / "general", args.out / "negatives"
        words: list[str | Path] = ["export", args.general, "--out", bare, "--half"]
        run([Step([*words, "--name", args.out.name], bare / "bundle.json")])
    run([_expert(task, bare, args) for task in tasks], args.jobs)
    if negatives != bare:
        words = ["train", "negatives", "--bundle", bare, *_sets(domains, args.data)]
        words += ["--count", NEGATIVES, "--cache", args.out / "cache"]
        run([Step([*words, "--out", negatives], negatives / "bundle.json")])
    run([_head(task, negatives, args) for task in tasks], args.jobs)
    bundle = Path(negatives)
    for number, task in enumerate(tasks, start=1):
        folder, grown = args.out / task.name, args.out / f"bundle_{number}"
        words = ["bundle", "add-expert", bundle, "--checkpoint", folder / "expert.safetensors"]
        words += ["--head", folder / "head.safetensors", "--out", grown]
        run([Step(words, grown / "bundle.json")])
        bundle = grown
    return bundle


def _without_experts(grown: Path, out: Path) -> Path:
    """The general model of a bundle, with the random prompts that it ships."""
    bundle = grown
    for number, expert in enumerate(load_bundle(grown).manifest.experts, start=1):
        less = Path(out / f"without_{number}")
        words: list[str | Path] = [
            "bundle",
            "remove-expert",
            bundle,
            "--name",
            expert.name,
            "--out",
            less,
        ]
        run([Step(words, less / "bundle.json")])
        bundle = less
    return bundle


def _expert(task: Task, bundle: Path, args: argparse.Namespace) -> Step:
    folder = Path(args.out / task.name)
    words: list[str | Path] = ["train", "expert", "--task", task.name]
    known = load_bundle(args.general).manifest.experts if args.general.is_dir() else ()
    if task.name in {expert.name for expert in known}:
        words += ["--bundle", args.general, "--from-expert", task.name]
    else:
        words += ["--bundle", bundle]
    words += [*_sets(task.sets, args.data), "--cache", args.out / "cache", "--out", folder]
    words += ["--label", task.label, "--code", task.code, "--modality", task.modality]
    words += ["--training-data", task.data, "--licence", task.licence]
    length = ["--steps", str(args.steps)] if args.steps else ["--minutes", str(args.minutes)]
    words += ["--windows", str(task.windows), *length, "--lr", LR, "--batch", str(args.batch)]
    words += ["--seed", str(args.seed), "--threads", "1"]
    words += ["--bfloat16"] if args.bfloat16 else []
    return Step(words, folder / "expert.safetensors")


def _head(task: Task, bundle: Path, args: argparse.Namespace) -> Step:
    folder = args.out / task.name
    words: list[str | Path] = ["train", "gate", "--mode", "heads", "--bundle", bundle]
    words += _sets(task.sets, args.data)
    words += ["--checkpoint", folder / "expert.safetensors", "--out", folder]
    words += ["--cache", args.out / "cache"]
    words += ["--prompts", str(task.prompts), "--seed", str(args.seed)]
    if task.others:
        words += ["--also-general", *(args.data / name for name in task.others)]
    if task.same_as and args.general.is_dir():
        words += ["--same-as", *task.same_as]
    return Step(words, folder / "head.safetensors")


def gate_bundles(
    bundle: Path, modes: Sequence[str], sets: Sequence[str], args: argparse.Namespace
) -> list[Path]:
    """The same experts behind other gates."""
    train, place, made = [], [], []
    for mode in modes:
        folder = args.out / f"gate_{mode}"
        words: list[str | Path] = ["train", "gate", "--mode", mode, "--bundle", bundle]
        words += [*_sets(sets, args.data), "--out", folder, "--cache", args.out / "cache"]
        words += ["--prompts", str(GATE_PROMPTS), "--seed", str(args.seed)]
        train.append(Step(words, folder / "gate.safetensors"))
        made.append(Path(args.out / f"bundle_{mode}"))
        words = ["bundle", "set-gate", bundle, "--gate", folder / "gate.safetensors"]
        place.append(Step([*words, "--out", made[-1]], made[-1] / "bundle.json"))
    run(train, args.jobs)
    run(place)
    return made


def _sets(names: Sequence[str], data: Path) -> list[str | Path]:
    return ["--data", *(data / name for name in names)]


if __name__ == "__main__":
    sys.exit(main())
