"""``sammoe purge``: delete all that came of a study, for every principal."""

import argparse

from sammoe.cli.assembly import open_store
from sammoe.cli.auditing import audited
from sammoe.cli.store_arguments import add_store_arguments, settings_for
from sammoe.errors import StoreUnavailable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which study, and where the state is."""
    parser.add_argument(
        "--study", required=True, metavar="UID", help="StudyInstanceUID; volumes read from DICOM"
    )
    add_store_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Delete, whether or not a service runs on the state, and say how many volumes it were."""
    settings = settings_for(args)
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
