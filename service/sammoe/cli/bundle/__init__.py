"""``sammoe bundle ACTION``: look at a bundle, change what it holds, put it in place.

An action's module is imported when it is run: showing needs no engine, publishing no torch.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from sammoe.cli.bundle import arguments


@dataclass(frozen=True, slots=True)
class Action:
    """One-line help, what adds its arguments, and the module whose function of the same name as
    the latter's runs it."""

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    module: str


ACTIONS: Final = {
    "show": Action(
        "print a bundle's manifest and check its files", arguments.show, "sammoe.cli.bundle.showing"
    ),
    "add-expert": Action(
        "a bundle with one more expert", arguments.add_expert, "sammoe.cli.bundle.mixing"
    ),
    "remove-expert": Action(
        "a bundle without one of its experts", arguments.remove_expert, "sammoe.cli.bundle.mixing"
    ),
    "set-gate": Action(
        "a bundle with another gate", arguments.set_gate, "sammoe.cli.bundle.mixing"
    ),
    "add-plans": Action(
        "a bundle with TensorRT plans for this machine's GPU",
        arguments.add_plans,
        "sammoe.cli.bundle.mixing",
    ),
    "upgrade": Action(
        "a bundle with all that Triton needs, which older ones lack",
        arguments.upgrade,
        "sammoe.cli.bundle.releasing",
    ),
    "publish": Action(
        "put a checked bundle in the place of the one that is served",
        arguments.publish,
        "sammoe.cli.bundle.releasing",
    ),
    "rollback": Action(
        "go back to the bundle before the last publish",
        arguments.rollback,
        "sammoe.cli.bundle.releasing",
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command for each action."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, action in ACTIONS.items():
        description = f"{action.help[0].upper()}{action.help[1:]}."
        action.arguments(actions.add_parser(name, help=action.help, description=description))


def run(args: argparse.Namespace) -> int:
    """Do as asked."""
    action = ACTIONS[args.action]
    code: int = getattr(import_module(action.module), action.arguments.__name__)(args)
    return code
