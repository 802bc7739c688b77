"""``sammoe train general``: a small general model from scratch."""

import argparse
import os
from datetime import date
from pathlib import Path

import torch

from sammoe.bundle.locking import claimed
from sammoe.bundle.options import folder_option
from sammoe.model import SamMed3DConfig, build_sam_med3d
from sammoe.model.checkpoint import load_checkpoint
from sammoe.training.arguments import not_negative_int, positive_float, positive_int
from sammoe.training.corpus import samplers, small_window_rule
from sammoe.training.general import GeneralTrainer, Recipe
from sammoe.training.mixture import Mixture
from sammoe.training.ranks import device_of
from sammoe.training.releasing import save_general

DETAIL = "A run that was stopped goes on where it was when started again."


def add_arguments(general: argparse.ArgumentParser) -> None:
    """Arguments of ``sammoe train general``."""
    recipe = Recipe()
    general.add_argument("--data", type=Path, required=True, help="folder of real volumes")
    general.add_argument("--pool", type=Path, default=Path("runs/pool"), help="phantoms")
    general.add_argument(
        "--out", type=folder_option, default=Path("runs/general"), help="run folder"
    )
    general.add_argument("--init", type=Path, help="checkpoint to start from; none: random weights")
    general.add_argument("--steps", type=positive_int, default=recipe.steps, help="optimiser steps")
    general.add_argument("--images", type=positive_int, default=recipe.images, help="images a step")
    general.add_argument(
        "--prompts", type=positive_int, default=recipe.prompts, help="prompts an image"
    )
    general.add_argument(
        "--lr", type=positive_float, default=recipe.lr, help="highest learning rate"
    )
    general.add_argument("--seed", type=not_negative_int, default=recipe.seed)
    general.add_argument(
        "--workers",
        type=not_negative_int,
        default=1,
        help="processes that make phantoms and batches",
    )
    general.add_argument("--threads", type=positive_int, default=os.cpu_count(), help="for torch")
    general.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1 (default: a GPU, if any)"
    )
    general.add_argument("--bfloat16", action="store_true", help="autocast, where it is fast")


def run(args: argparse.Namespace) -> None:
    """Train as asked; the averaged weights end up in ``OUT/general.safetensors``."""
    device = device_of(args.device)
    torch.set_num_threads(args.threads)
    names = ("steps", "images", "prompts", "lr", "seed", "bfloat16")
    recipe = Recipe(**{name: getattr(args, name) for name in names})
    with claimed(args.out):
        _train(args, recipe, device)


def _train(args: argparse.Namespace, recipe: Recipe, device: torch.device) -> None:
    torch.manual_seed(recipe.seed)
    if args.init:
        model = load_checkpoint(args.init).model.train()
    else:
        model = build_sam_med3d(SamMed3DConfig.small())
    model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    trainer = GeneralTrainer(model, recipe, args.out, device)
    if trainer.resume():
        print(f"going on at step {trainer.step} of {recipe.steps}")
    sources = samplers(args.pool, args.data, small_window_rule(), recipe.prompts, args.workers)
    # Another seed after a resume, or the run would see its first batches again.
    mixture = Mixture(sources, recipe.images, recipe.seed + trainer.step)
    averaged = trainer.train(mixture, args.workers)
    path, minutes = args.out / "general.safetensors", trainer.seconds / 60
    save_general(averaged, recipe, path, steps=trainer.step, minutes=minutes, created=date.today())
    print(f"{path}: {trainer.step} steps in {minutes:.0f} minutes; next: sammoe export {path}")
