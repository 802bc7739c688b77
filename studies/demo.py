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


_MSD = "hippocampus task of the Medical Segmentation Decathlon, also pasted into synthetic heads"
_STS = "soft-tissue sarcoma collection of TCIA"
_PHANTOMS = "synthetic torso phantoms of this project"
TASKS = (
    Task(
        "hippocampus_anterior",
        ("hippocampus", "heads"),
        "hippocampus, anterior part",
        "SCT:5366008:Hippocampus",
        "MR",
        _MSD,
        "CC BY-SA 4.0",
        8,
    ),
    Task(
        "hippocampus_posterior",
        ("hippocampus", "heads"),
        "hippocampus, posterior part",
        "SCT:5366008:Hippocampus",
        "MR",
        _MSD,
        "CC BY-SA 4.0",
        8,
    ),
    Task(
        "sarcoma_mr",
        ("sarcoma_mr",),
        "soft-tissue sarcoma",
        "SCT:424413001:Sarcoma",
        "MR",
        _STS,
        "CC BY 3.0",
        48,
    ),
    Task(
        "sarcoma_ct",
        ("sarcoma_ct",),
        "soft-tissue sarcoma",
        "SCT:424413001:Sarcoma",
        "CT",
        _STS,
        "CC BY 3.0",
        48,
    ),
    Task(
        "pancreas",
        ("torsos",),
        "pancreas",
        "SCT:15776009:Pancreas",
        "CT",
        _PHANTOMS,
        "Apache-2.0",
        20,
    ),
    Task(
        "oesophagus",
        ("torsos",),
        "oesophagus",
        "SCT:32849002:Esophagus",
        "CT",
        _PHANTOMS,
        "Apache-2.0",
        20,
    ),
)
DOMAINS = ("torsos", "torsos_mr", "heads", "hippocampus", "sarcoma_mr", "sarcoma_ct")
"""Data sets of every kind of image that the demo serves: random prompts come from all of them."""

TESTED = ("hippocampus", "heads", "sarcoma_mr", "sarcoma_ct", "torsos")


def main() -> int:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("runs/data"))
    parser.add_argument("--general", type=Path, default=Path("runs/general/general.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--minutes", type=float, default=6, help="of each expert's training")
    parser.add_argument("--jobs", type=int, default=2, help="experts trained side by side")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    bundle = general_bundle(args.general, args.data, args.out, DOMAINS)
    bundle = with_experts(bundle, TASKS, args)
    tested = [word for name in TESTED for word in ("--data", args.data / name)]
    run([Step(["calibrate", "--bundle", bundle, *tested], bundle / "calibration.png")])
    others = [gate_bundle(bundle, mode, tested, args) for mode in ("joint", "paper")]
    bundles = [word for folder in (bundle, *others) for word in ("--bundle", folder)]
    words = ["evaluate", *bundles, *tested, "--downstream", "sarcoma_mr"]
    run([Step([*words, "--out", args.out / "tables"], args.out / "tables" / "tables.md")])
    return 0


def general_bundle(general: Path, data: Path, out: Path, domains: Sequence[str]) -> Path:
    """The general model alone, with the random prompts that every head learns from."""
    bare, negatives = out / "general", out / "negatives"
    sets = [word for name in domains for word in ("--data", data / name)]
    run(
        [
            Step(["export", general, "--out", bare, "--half"], bare / "bundle.json"),
            Step(
                ["train", "negatives", "--bundle", bare, *sets, "--out", negatives],
                negatives / "bundle.json",
            ),
        ]
    )
    return negatives


def with_experts(bundle: Path, tasks: Sequence[Task], args: argparse.Namespace) -> Path:
    """A bundle with an expert and its head for each task, in their order."""
    run([_expert(task, bundle, args) for task in tasks], args.jobs)
    run([_head(task, bundle, args) for task in tasks], args.jobs)
    for task in tasks:
        runs, grown = args.out / task.name, args.out / f"with_{task.name}"
        words = ["bundle", "add-expert", bundle, "--checkpoint", runs / "expert.safetensors"]
        words += ["--head", runs / "head.safetensors", "--out", grown]
        run([Step(words, grown / "bundle.json")])
        bundle = grown
    return bundle


def _expert(task: Task, bundle: Path, args: argparse.Namespace) -> Step:
    folder = args.out / task.name
    words = ["train", "expert", "--bundle", bundle, "--task", task.name, *_sets(task, args.data)]
    words += ["--label", task.label, "--code", task.code, "--modality", task.modality]
    words += ["--training-data", task.data, "--licence", task.licence, "--out", folder]
    words += ["--windows", task.windows, "--minutes", args.minutes, "--seed", args.seed]
    return Step([str(word) for word in words], folder / "expert.safetensors")


def _head(task: Task, bundle: Path, args: argparse.Namespace) -> Step:
    folder = args.out / task.name
    words = ["train", "gate", "--mode", "heads", "--bundle", bundle, *_sets(task, args.data)]
    words += ["--checkpoint", folder / "expert.safetensors", "--out", folder]
    words += ["--seed", args.seed]
    return Step([str(word) for word in words], folder / "head.safetensors")


def gate_bundle(
    bundle: Path, mode: str, sets: Sequence[str | Path], args: argparse.Namespace
) -> Path:
    """The same experts behind another gate."""
    folder, made = args.out / f"gate_{mode}", args.out / f"bundle_{mode}"
    train = ["train", "gate", "--mode", mode, "--bundle", bundle, *sets, "--out", folder]
    gate = folder / "gate.safetensors"
    run(
        [
            Step([*train, "--seed", str(args.seed)], gate),
            Step(
                ["bundle", "set-gate", bundle, "--gate", gate, "--out", made], made / "bundle.json"
            ),
        ]
    )
    return Path(made)


def _sets(task: Task, data: Path) -> list[str | Path]:
    return [word for name in task.sets for word in ("--data", data / name)]


if __name__ == "__main__":
    sys.exit(main())
