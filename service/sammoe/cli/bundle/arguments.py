"""Arguments of the actions; importing this costs nothing, whatever the actions need."""

import argparse
from pathlib import Path

from sammoe.bundle.options import add_task_options, code_option, folder_option


def show(parser: argparse.ArgumentParser) -> None:
    """``[FOLDER]``."""
    parser.add_argument("folder", nargs="?", type=Path, help="the bundle (default: model_repo/)")


def add_expert(parser: argparse.ArgumentParser) -> None:
    """A checkpoint, its head, and what the manifest says of it."""
    _add_folders(parser)
    parser.add_argument(
        "--checkpoint",
        type=Path,
        required=True,
        metavar="FILE",
        help="with the bundle's encoder and prompt encoder; from sammoe train expert, or your own",
    )
    parser.add_argument(
        "--head",
        type=Path,
        metavar="FILE",
        help="its head, from sammoe train gate; without it, the checkpoint is compared alone",
    )
    about = parser.add_argument_group(
        "what the manifest says of it", "Checkpoints of sammoe train expert know it already."
    )
    add_task_options(about)
    about.add_argument("--label", help="what people read (default: the name in words)")
    about.add_argument(
        "--code",
        type=code_option,
        action="append",
        metavar="SCHEME:VALUE:MEANING",
        help="coded concept, as SCT:10200004:Liver; may be repeated",
    )
    about.add_argument("--training-data", help="origin of the scans it was trained on")
    about.add_argument("--licence", help="of those scans and labels")


def remove_expert(parser: argparse.ArgumentParser) -> None:
    """An expert's name."""
    _add_folders(parser)
    parser.add_argument("--name", required=True, help="of the expert")


def set_gate(parser: argparse.ArgumentParser) -> None:
    """One gate, or new heads; and the decoders that learnt with it."""
    _add_folders(parser)
    gate = parser.add_mutually_exclusive_group(required=True)
    gate.add_argument(
        "--gate", type=Path, metavar="FILE", help="from sammoe train gate --mode joint or paper"
    )
    gate.add_argument(
        "--head",
        type=Path,
        action="append",
        metavar="FILE",
        help="from sammoe train gate, of one expert; may be repeated; the others keep theirs",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="experts that learnt with the gate (sammoe train gate --train-experts)",
    )


def add_plans(parser: argparse.ArgumentParser) -> None:
    """``[FOLDER] --out DIR``, and how plans compute."""
    _add_folders(parser)
    parser.add_argument(
        "--half", action="store_true", help="plans compute their products in float16"
    )


def upgrade(parser: argparse.ArgumentParser) -> None:
    """``[FOLDER] --out DIR``."""
    _add_folders(parser)


def publish(parser: argparse.ArgumentParser) -> None:
    """``NEW --to FOLDER``, and the store whose front ends shall follow."""
    parser.add_argument("new", type=Path, metavar="NEW", help="the bundle to publish")
    parser.add_argument(
        "--to",
        type=folder_option,
        required=True,
        metavar="FOLDER",
        help="where bundles are served from; what it holds is kept for rollback",
    )
    _add_store(parser)


def rollback(parser: argparse.ArgumentParser) -> None:
    """``FOLDER``, and the store whose front ends shall follow."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where a bundle was published")
    _add_store(parser)


def _add_store(parser: argparse.ArgumentParser) -> None:
    store = parser.add_argument_group(
        "the record that front ends follow",
        "Where one of these is given, as for serve, the store's record of the active bundle is"
        " changed, too. Front ends whose store has no record follow the folder alone.",
    )
    store.add_argument("--state", type=Path, help="the state folder [env SAMMOE_STATE]")
    store.add_argument("--store", metavar="URL", help="the bucket [env SAMMOE_STORE]")


def _add_folders(parser: argparse.ArgumentParser) -> None:
    show(parser)
    parser.add_argument(
        "--out", type=folder_option, required=True, metavar="DIR", help="the new bundle's folder"
    )
    parser.add_argument("--replace", action="store_true", help="replace the bundle in DIR")
