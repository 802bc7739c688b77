"""``sammoe warm``: embed what people will click on, before they do.

Two ways: files, embedded by this process into the Redis that the service's replicas share; and
series of the PACS, which a running service gets and prepares, overnight.
"""

import argparse

from sammoe.cli.warm import scans, series


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Both ways' arguments, each in a group of its own."""
    parser.add_argument(
        "--modality", help="CT or MR: what the scans are, or which series (default: either)"
    )
    scans.add_arguments(parser.add_argument_group("files, into Redis"))
    series.add_arguments(parser.add_argument_group("series of the PACS, by a running service"))


def run(args: argparse.Namespace) -> int:
    """Files where there are any, else series."""
    return scans.run(args) if args.scans else series.run(args)
