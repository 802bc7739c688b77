"""``sammoe train KIND``: one module per kind, imported when it is asked for."""

import argparse
from importlib import import_module
from typing import Any, Final

KINDS: Final = {
    "general": "a small general model: phantoms, brain label maps and unlabelled scans",
    "expert": "a decoder for one task, from labelled scans",
    "negatives": "random prompts that gates learn from, for a new general model",
    "gate": "what chooses between the experts",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sammoe train``."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, text in KINDS.items():
        module = _module(kind)
        description = f"{text[0].upper()}{text[1:]}. {module.DETAIL}"
        module.add_arguments(kinds.add_parser(kind, help=text, description=description))


def run(args: argparse.Namespace) -> None:
    """Train as asked."""
    _module(args.kind).run(args)


def _module(kind: str) -> Any:
    return import_module(f"sammoe.training.commands.{kind}")
