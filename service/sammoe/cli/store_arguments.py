"""Which store a command works on."""

import argparse
from pathlib import Path

from sammoe.settings import Settings, env_name


def add_store_arguments(parser: argparse.ArgumentParser) -> None:
    """``--state`` and ``--store``, as for ``serve``."""
    parser.add_argument(
        "--state",
        type=Path,
        help=f"folder for volumes and segmentations, as for serve [env {env_name('state')}]",
    )
    parser.add_argument(
        "--store", metavar="URL", help=f"the bucket, as for serve [env {env_name('store')}]"
    )


def settings_for(args: argparse.Namespace) -> Settings:
    """Settings with those that were given."""
    given = {"state": args.state, "store": args.store}
    return Settings.load({name: value for name, value in given.items() if value is not None})
