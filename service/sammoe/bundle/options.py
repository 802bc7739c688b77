"""Options that several commands share."""

import argparse
from pathlib import Path

from sammoe.bundle.manifest import Code


def add_task_options(parser: argparse._ActionsContainer) -> None:
    """``--name``, ``--modality``, ``--class``: what an expert is for."""
    parser.add_argument("--name", help="a-z, 0-9, _")
    parser.add_argument("--modality", choices=("CT", "MR"), nargs="+", help="that it is for")
    parser.add_argument(
        "--class",
        dest="classes",
        nargs="+",
        metavar="CLASS",
        help="what data sets call its structure (default: the name)",
    )


def folder_option(text: str) -> Path:
    """A folder to write into, which need not be there yet; for ``type=`` of an argument: a file in
    its place is told before hours of work.

    Raises
    ------
    argparse.ArgumentTypeError
        There is something else of that name.
    """
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a file: name a folder, or a new one")
    return path


def code_option(text: str) -> Code:
    """``SCHEME:VALUE:MEANING`` -> a code; for ``type=`` of an argument.

    Raises
    ------
    argparse.ArgumentTypeError
        A part is missing.
    """
    parts = text.split(":", 2)
    if len(parts) != 3 or not all(parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not SCHEME:VALUE:MEANING, as SCT:10200004:Liver"
        )
    scheme, value, meaning = parts
    return Code(scheme=scheme, value=value, meaning=meaning)
