"""``sammoe train expert``: a decoder for one task, from labelled scans."""

import argparse
import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from sammoe.bundle import Bundle, Expert, load_bundle
from sammoe.bundle.finding import find_bundle
from sammoe.bundle.locking import claimed
from sammoe.bundle.options import code_option, folder_option
from sammoe.errors import CheckpointInvalid, DataSetInvalid, SettingsInvalid
from sammoe.export.reading import load_networks
from sammoe.model import SamMed3D
from sammoe.model.checkpoint import load_checkpoint, save_checkpoint
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.training.arguments import not_negative_int, positive_float, positive_int
from sammoe.training.datasets import HOW_TO_SAY, DataSet, load_datasets
from sammoe.training.expert import ExpertTrainer
from sammoe.training.expert_recipe import ExpertRecipe
from sammoe.training.prepared import Prepared, prepare
from sammoe.training.ranks import Ranks
from sammoe.training.tasks import known_modalities, require, task_cases
from sammoe.training.telling import tell
from sammoe.volume.volume import Modality

DETAIL = (
    "Only the mask decoder learns; encoder and prompt encoder stay the bundle's. Patients are split"
    " once, and the split is written beside the data: those for tests are never read here. A run"
    " that was stopped goes on where it was when started again with the same words. For several"
    " GPUs: torchrun --nproc-per-node N -m sammoe train expert ..."
)
_CALIBRATE_WINDOWS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sammoe train expert``."""
    recipe = ExpertRecipe()
    about = parser.add_argument_group("the task")
    about.add_argument(
        "--task", required=True, metavar="NAME", help="the expert's name: a-z, 0-9, _"
    )
    about.add_argument(
        "--data",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        metavar="DIR",
        help="labelled scans, in nnU-Net's or SAM-Med3D's layout",
    )
    about.add_argument(
        "--class",
        dest="classes",
        nargs="+",
        action="extend",
        metavar="CLASS",
        help="labels that are the task, all together one structure (default: NAME)",
    )
    about.add_argument("--label", help="what people read (default: NAME in words)")
    about.add_argument(
        "--code",
        type=code_option,
        action="append",
        default=[],
        metavar="SCHEME:VALUE:MEANING",
        help="coded concept, as SCT:10200004:Liver; may be repeated",
    )
    about.add_argument(
        "--modality",
        choices=("CT", "MR"),
        nargs="+",
        help="that the expert is for (default: what the data sets say)",
    )
    about.add_argument("--training-data", help="origin of the scans (default: the folders' names)")
    about.add_argument("--licence", default="not stated", help="of the scans and labels")
    start = parser.add_argument_group("where it starts and ends")
    start.add_argument("--bundle", type=Path, help="whose general decoder it starts from")
    instead = start.add_mutually_exclusive_group()
    instead.add_argument(
        "--init", type=Path, help="checkpoint whose decoder it starts from instead"
    )
    instead.add_argument(
        "--from-expert", metavar="NAME", help="expert of the bundle to start from instead"
    )
    start.add_argument("--out", type=folder_option, help="run folder (default: runs/expert-NAME)")
    start.add_argument(
        "--cache",
        type=folder_option,
        default=Path("runs/cache"),
        help="windows (default: runs/cache)",
    )
    how = parser.add_argument_group("how it learns")
    how.add_argument("--windows", type=positive_int, default=8, help="of each scan (default: 8)")
    how.add_argument(
        "--steps", type=positive_int, help=f"at most (default: {recipe.steps}, or by --minutes)"
    )
    how.add_argument("--minutes", type=positive_float, help="of training, at most")
    how.add_argument(
        "--batch", type=positive_int, default=recipe.batch, help="prompts a step (default: 8)"
    )
    how.add_argument(
        "--points",
        type=positive_int,
        default=recipe.points,
        help="a prompt's, at most (default: 6)",
    )
    how.add_argument(
        "--lr", type=positive_float, default=recipe.lr, help="highest rate (default: 1e-4)"
    )
    how.add_argument(
        "--every",
        type=positive_int,
        default=recipe.every,
        help="steps between looks at the calibrate split",
    )
    how.add_argument(
        "--patience",
        type=positive_int,
        default=recipe.patience,
        help="looks without a gain (default: 8)",
    )
    how.add_argument(
        "--seed", type=not_negative_int, default=recipe.seed, help="of windows and users"
    )
    how.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 (default: a GPU, if any)")
    how.add_argument("--threads", type=positive_int, help="for torch (default: all processors)")
    how.add_argument("--bfloat16", action="store_true", help="autocast, where it is fast")


def run(args: argparse.Namespace) -> None:
    """Train as asked; the best weights end up in ``OUT/expert.safetensors``."""
    ranks = Ranks.start(args.device)
    torch.set_num_threads(args.threads or max(1, (os.cpu_count() or 1) // ranks.world))
    classes = tuple(args.classes or [args.task])
    datasets = load_datasets(args.data)
    require(datasets, classes)
    expert = _expert(args, classes, datasets)
    _tell_of_modalities(expert, datasets)
    bundle = load_bundle(find_bundle(args.bundle))
    if ranks.first and args.from_expert is None:
        _tell_of_namesake(bundle, args.task)
    model, general = _networks(bundle, args.init, args.from_expert)
    out = args.out or Path("runs") / f"expert-{args.task}"
    with claimed(out) if ranks.first else nullcontext():
        trainer = ExpertTrainer(model, _recipe(args), out, ranks, general, expert.model_dump_json())
        if not ranks.first:
            ranks.wait()
        windows, calibrate = _windows(args, bundle, trainer.model, datasets, expert)
        resumed = trainer.resume(windows, calibrate)
        if ranks.first:
            ranks.wait()
            if resumed:
                print(f"going on after step {trainer.step}")
        model.mask_decoder = trainer.train(windows, calibrate)
        if ranks.first:
            path = out / "expert.safetensors"
            _finish(trainer, expert, path, len(set(windows.case.tolist())))
            data = " ".join(str(folder) for folder in args.data)
            print(
                f"next: sammoe train gate --bundle {bundle.path} --data {data} --checkpoint {path}"
            )
    ranks.stop()


def _expert(
    args: argparse.Namespace, classes: tuple[str, ...], datasets: Sequence[DataSet]
) -> Expert:
    modalities = args.modality or known_modalities(datasets)
    if not modalities:
        raise SettingsInvalid(
            f"{args.data[0]} does not say what kind of scan it holds: give --modality CT or MR"
        )
    names = ", ".join(dataset.name for dataset in datasets)
    try:
        return Expert(
            name=args.task,
            label=args.label or args.task.replace("_", " "),
            codes=tuple(args.code),
            modalities=tuple(modalities),
            training_data=args.training_data or names,
            licence=args.licence,
            classes=classes,
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "name"
        raise SettingsInvalid(f"the task's {place}: {first['msg']}") from error


def _tell_of_modalities(expert: Expert, datasets: Sequence[DataSet]) -> None:
    """Later commands know nothing of ``--modality``: they go by the data sets alone."""
    for dataset in datasets:
        said = {case.modality for case in dataset.cases}
        possible = {Modality.CT, Modality.MR} if Modality.UNKNOWN in said else said
        if others := sorted(possible.difference(expert.modalities)):
            tell(
                f"{dataset.root}: gate, calibrate and evaluate may take scans for"
                f" {' or '.join(others)}, which {expert.name} is not for, and its classes there for"
                f" general ones. If they are {' or '.join(expert.modalities)}, say it {HOW_TO_SAY}"
            )


def _tell_of_namesake(bundle: Bundle, name: str) -> None:
    if name in {expert.name for expert in bundle.manifest.experts}:
        tell(
            f"{bundle.path} has an expert {name} already: this one can take its place once that is"
            f" removed (sammoe bundle remove-expert); to go on with it, give --from-expert {name}"
        )


def _networks(bundle: Bundle, init: Path | None, name: str | None) -> tuple[SamMed3D, MaskDecoder]:
    """The bundle's networks with the decoder to start from, and its general decoder."""
    networks = load_networks(bundle)
    model, general = networks.model, networks.model.mask_decoder
    if name is not None:
        if name not in networks.experts:
            known = ", ".join(networks.experts) or "none"
            raise SettingsInvalid(f"{bundle.path} has no expert {name!r}; it has: {known}")
        model.mask_decoder = networks.experts[name]
    elif init is not None:
        other = load_checkpoint(init).model
        if other.config != model.config:
            raise CheckpointInvalid(f"{init} is of another architecture than {bundle.path}")
        model.mask_decoder = other.mask_decoder
    return model, general


def _recipe(args: argparse.Namespace) -> ExpertRecipe:
    names = ("minutes", "batch", "points", "lr", "every", "patience", "seed", "bfloat16")
    recipe = ExpertRecipe(**{name: getattr(args, name) for name in names})
    if args.steps is None and args.minutes is not None:
        return replace(recipe, steps=None)
    return replace(recipe, steps=args.steps or recipe.steps)


def _windows(
    args: argparse.Namespace,
    bundle: Bundle,
    model: SamMed3D,
    datasets: Sequence[DataSet],
    expert: Expert,
) -> tuple[Prepared, Prepared]:
    """To learn from, and to look at."""
    cases = task_cases(datasets, expert)
    prepared = [
        prepare(
            model.image_encoder,
            cases[part],
            expert.classes,
            bundle.manifest.window_rule(),
            windows=args.windows if part == "train" else _CALIBRATE_WINDOWS,
            seed=args.seed,
            augment=part == "train",
            cache=args.cache,
            title=part,
        )
        for part in cases
    ]
    if not len(prepared[0]):
        folders = ", ".join(str(folder) for folder in args.data)
        raise DataSetInvalid(
            f"{folders}: no patient for training shows {' or '.join(expert.classes)}"
        )
    return prepared[0], prepared[1]


def _finish(trainer: ExpertTrainer, expert: Expert, path: Path, scans: int) -> None:
    best = trainer.scores[trainer.best_look()]
    details: dict[str, Any] = {
        "recipe": asdict(trainer.recipe),
        "steps": trainer.step,
        "minutes": round(trainer.seconds / 60, 1),
        "scans": scans,
        "calibrate": {"before": trainer.scores[0].columns(), "best": best.columns()},
        "frozen": trainer.frozen,
    }
    metadata = {"expert": expert.model_dump_json(), "training": json.dumps(details)}
    save_checkpoint(path, trainer.model.cpu(), metadata)
    for name, before in trainer.scores[0].columns().items():
        print(f"{name} on the calibrate split: {before:.3f} -> {best.columns()[name]:.3f}")
    print(
        f"{path}: {trainer.step} steps on {scans} scans in {trainer.seconds / 60:.1f} minutes;"
        " encoder and prompt encoder unchanged"
    )
