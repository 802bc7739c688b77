"""The command ``sammoe``: one module per command, imported when it is asked for.

A command is two functions: one adds its arguments to a parser, one runs it and returns its exit
code, if it has one to tell. Errors are one line on stderr and exit code 2; ``--debug``, anywhere
in the line, shows where they came from.
"""

import argparse
import os
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final, NoReturn

from sammoe import __version__
from sammoe.errors import SammoeError

FAILED: Final = 2
"""Exit code of everything that did not work."""

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""

DEBUG: Final = "--debug"

# Resampling runs in worker threads: BLAS threads of its own would only fight over the same cores.
# It is read when a command's module imports numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_NUMBERS = re.compile(r"-[0-9.][0-9.,eE+-]*")


@dataclass(frozen=True, slots=True)
class Command:
    """A command's one-line help, the module that holds it, and its two functions there."""

    help: str
    module: str
    add: str = "add_arguments"
    run: str = "run"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""
        getattr(import_module(self.module), self.add)(parser)

    def __call__(self, args: argparse.Namespace) -> int:
        """Run the command; return its exit code."""
        return getattr(import_module(self.module), self.run)(args) or 0


COMMANDS: Final = {
    "serve": Command("answer clicks over HTTP", "sammoe.cli.serve"),
    "triton": Command("run a bundle's models on a Triton server", "sammoe.cli.triton"),
    "segment": Command("segment one scan, without a server", "sammoe.cli.segment"),
    "warm": Command("prepare scans, or series of the PACS", "sammoe.cli.warm"),
    "purge": Command("delete all that came of a study", "sammoe.cli.purge"),
    "keys": Command("make, list and revoke API keys", "sammoe.cli.keys"),
    "audit": Command("check the audit log, and look things up in it", "sammoe.cli.audit"),
    "store": Command("check, migrate, back up and restore the store", "sammoe.cli.store"),
    "import": Command(
        "turn an official checkpoint into a bundle",
        "sammoe.export.cli",
        "add_import_arguments",
        "run_import",
    ),
    "export": Command(
        "turn a trained checkpoint into a bundle",
        "sammoe.export.cli",
        "add_export_arguments",
        "run_export",
    ),
    "bundle": Command("look at a bundle, change it, publish it", "sammoe.cli.bundle"),
    "train": Command("train networks", "sammoe.training.cli"),
    "calibrate": Command(
        "set when a bundle's experts answer, on held-out patients",
        "sammoe.training.commands.calibrate",
    ),
    "evaluate": Command(
        "measure how well bundles segment, on test patients", "sammoe.training.commands.evaluate"
    ),
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the complaint and leave with :data:`FAILED`."""
        self.exit(FAILED, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``sammoe`` with these arguments (default: the process's); return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    debug = DEBUG in words
    arguments = join_numbers([word for word in words if word != DEBUG])
    name = next((word for word in arguments if not word.startswith("-")), "")
    prog = f"sammoe {name}" if name in COMMANDS else "sammoe"
    try:
        args = build_parser(name).parse_args(arguments)
        return COMMANDS[args.command](args)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        sys.stderr.close()
        return FAILED
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"{prog}: {describe(error)}", file=sys.stderr)
        return FAILED


def build_parser(name: str = "") -> Parser:
    """The parser, with the arguments of the command ``name`` alone: no other module is imported."""
    parser = Parser(
        prog="sammoe",
        description="Click on a structure in a CT or MR scan, get its 3D mask."
        " Research use, not a medical device.",
    )
    parser.add_argument(DEBUG, action="store_true", help="on an error, show where it came from")
    parser.add_argument("--version", action="version", version=f"sammoe {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for key, command in COMMANDS.items():
        description = f"{command.help[0].upper()}{command.help[1:]}."
        sub = commands.add_parser(key, help=command.help, description=description)
        if key == name:
            command.add_arguments(sub)
    return parser


def describe(error: Exception) -> str:
    """One line for people."""
    if isinstance(error, ModuleNotFoundError):
        return f"needs {error.name}: pip install 'sam-med3d-moe[train]'"
    if isinstance(error, SammoeError):
        text = error.detail
    elif isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        text = f"{place}{error.strerror}"
    else:
        text = f"unexpected {type(error).__name__}: {error} (--debug shows where)"
    return " ".join(text.split())


def join_numbers(arguments: Sequence[str]) -> list[str]:
    """Write ``--point -10,2,3`` as ``--point=-10,2,3``: argparse would take it for a flag."""
    joined: list[str] = []
    for word in arguments:
        if joined and _NUMBERS.fullmatch(word) and re.fullmatch(r"--[a-z-]+", joined[-1]):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined
