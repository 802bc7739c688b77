"""Running the actions that export: only then is torch needed."""

import argparse
from importlib import import_module
from typing import Final

from sammoe.bundle import Bundle
from sammoe.cli.progress import steps

_COMMANDS: Final = "sammoe.export.commands"


def add_expert(args: argparse.Namespace) -> int:
    """Compare the shared networks, export the decoder and the gate, copy the rest."""
    return _run("add_expert", args, "adding the expert")


def remove_expert(args: argparse.Namespace) -> int:
    """Export the gate without it, copy the rest."""
    return _run("remove_expert", args, "removing the expert")


def set_gate(args: argparse.Namespace) -> int:
    """Export the gate, copy the rest."""
    return _run("set_gate", args, "exchanging the gate")


def add_plans(args: argparse.Namespace) -> int:
    """Build a plan for each model, run it beside its graph, copy the rest."""
    with steps(1) as progress:
        progress.begin("building plans")
        bundle: Bundle = import_module(_COMMANDS).add_plans(args)
    print(bundle.in_short())
    return 0


def _run(name: str, args: argparse.Namespace, doing: str) -> int:
    with steps(1) as progress:
        progress.begin(doing)
        bundle: Bundle = getattr(import_module(_COMMANDS), name)(args)
    print(bundle.in_short())
    if bundle.manifest.experts:
        print(f"next: sammoe calibrate --bundle {bundle.path} --data ...")
    return 0
