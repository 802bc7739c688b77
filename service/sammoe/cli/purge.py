"""``sammoe purge``: delete all that came of a study, for every principal."""

import argparse
from pathlib import Path

from sammoe.cli.assembly import open_store
from sammoe.cli.auditing import audited
from sammoe.errors import StoreUnavailable
from sammoe.settings import Settings, env_name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which study, and where the state is."""
    parser.add_argument(
        "--study", required=True, metavar="UID", help="StudyInstanceUID; volumes read from DICOM"
    )
    parser.add_argument(
        "--state",
        type=Path,
        help=f"folder for volumes and segmentations, as for serve [env {env_name('state')}]",
    )
    parser.add_argument(
        "--store", metavar="URL", help=f"the bucket, as for serve [env {env_name('store')}]"
    )


def run(args: argparse.Namespace) -> int:
    """Delete, whether or not a service runs on the state, and say how many volumes it were."""
    given = {"state": args.state, "store": args.store}
    settings = Settings.load({name: value for name, value in given.items() if value is not None})
    store = open_store(settings.state, settings.store)
    try:
        with audited(settings, "study.purge", study=args.study) as objects:
            purged = store.studies.purge(args.study)
            objects["volumes"] = purged.volumes
    finally:
        store.close()
    print(f"{purged.volumes} volume(s) of the study deleted, with everything made of them")
    if purged.unread:
        raise StoreUnavailable(
            f"{len(purged.unread)} record(s) can not be read, and may be of the study, too: restore"
            f" or remove them, and purge again: {', '.join(purged.unread)}",
            record=True,
        )
    return 0
