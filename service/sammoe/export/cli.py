"""Arguments and actions of ``sammoe import`` and ``sammoe export``."""

import argparse
from datetime import date
from pathlib import Path

from tqdm import tqdm

from sammoe.bundle import Provenance, file_digest
from sammoe.bundle.options import folder_option
from sammoe.errors import CheckpointInvalid
from sammoe.export.bundles import export_bundle
from sammoe.export.plan_building import find_tensorrt
from sammoe.export.plans import with_plans
from sammoe.export.release import Release, official_windows
from sammoe.model import SamMed3D
from sammoe.model.checkpoint import load_checkpoint

_NOT_STATED = "not stated"


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    """``CHECKPOINT --out DIR``, and what a manifest says that a checkpoint does not."""
    _add_common_arguments(parser, "official .pth or .safetensors file (vit_b)")
    parser.add_argument("--licence", default=_NOT_STATED, help="licence of the weights")
    parser.add_argument(
        "--training-data", default=_NOT_STATED, metavar="TEXT", help="what they were trained on"
    )


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """``CHECKPOINT --out DIR``: everything else is in the checkpoint."""
    _add_common_arguments(parser, "checkpoint written by sammoe train")


def run_import(args: argparse.Namespace) -> int:
    """Turn official weights into a bundle with the windows that they were trained on."""
    _check(args)
    checkpoint = load_checkpoint(args.checkpoint)
    config, window = checkpoint.model.config, official_windows()
    if (config.image_size, config.patch_size) != (window.side, window.patch):
        raise CheckpointInvalid(
            f"{args.checkpoint} is for windows of {config.image_size} voxels, not the official"
            f" {window.side}: use sammoe export"
        )
    release = Release(
        name=args.name or args.checkpoint.stem,
        window=window,
        provenance=Provenance(
            source=args.checkpoint.name,
            licence=args.licence,
            created=date.today(),
            training_data=args.training_data,
            details={"checkpoint_sha256": file_digest(args.checkpoint)},
        ),
    )
    _write(checkpoint.model, release, args)
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Turn a checkpoint of ``sammoe train`` into a bundle."""
    _check(args)
    checkpoint = load_checkpoint(args.checkpoint)
    release = Release.from_metadata(checkpoint.metadata)
    if args.name:
        release = release.model_copy(update={"name": args.name})
    _write(checkpoint.model, release, args)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Whether plans can be made here, before anything that takes long."""
    if args.tensorrt:
        find_tensorrt()


def _add_common_arguments(parser: argparse.ArgumentParser, checkpoint: str) -> None:
    parser.add_argument("checkpoint", type=Path, help=checkpoint)
    parser.add_argument(
        "--out", type=folder_option, required=True, metavar="DIR", help="bundle folder"
    )
    parser.add_argument("--name", help="the bundle's name")
    parser.add_argument("--half", action="store_true", help="float16 weights: half the size")
    parser.add_argument("--replace", action="store_true", help="replace the bundle in DIR")
    parser.add_argument(
        "--tensorrt",
        action="store_true",
        help="with plans for this machine's GPU; sammoe bundle add-plans adds them later",
    )


def _write(model: SamMed3D, release: Release, args: argparse.Namespace) -> None:
    with tqdm(total=5 if args.tensorrt else 3, unit="part", delay=2, leave=False) as bar:

        def report(part: str) -> None:
            bar.set_description(part)
            bar.update()

        bundle = export_bundle(
            model, args.out, release, half=args.half, replace=args.replace, report=report
        )
        if args.tensorrt:
            bundle = with_plans(bundle, out=args.out, report=report)
    print(bundle.in_short())
