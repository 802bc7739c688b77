"""``sammoe train negatives``."""

import argparse

DETAIL = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""


def run(args: argparse.Namespace) -> None:
    """Run it."""
    raise NotImplementedError
