"""``sammoe store``: check, migrate, back up and restore volumes and segmentations.

Each works on a store that is in use. Exit code 0: all is well; 1: some records are not, and each is
named in a line; 2: it could not be done.
"""

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sammoe.cli.assembly import open_store
from sammoe.cli.auditing import audited
from sammoe.cli.progress import PATIENCE_SECONDS
from sammoe.cli.store_arguments import add_store_arguments, settings_for
from sammoe.errors import SettingsInvalid
from sammoe.settings import Settings
from sammoe.store import Store
from sammoe.store.copying import copy_store
from sammoe.store.inspecting import Finding, Inspection
from sammoe.store.migrating import migrate

NOT_WELL = 1
"""Exit code where records can not be used."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and where the state is."""
    commands = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    check = commands.add_parser("check", help="read every record, and name those that are not well")
    check.add_argument("--deep", action="store_true", help="read all voxels, too")
    check.add_argument(
        "--quarantine",
        action="store_true",
        help="put what is damaged aside, under quarantine/ in the store",
    )
    commands.add_parser("migrate", help="write records of older versions in the form of this one")
    backup = commands.add_parser("backup", help="copy all records, while the store is in use")
    backup.add_argument("--to", required=True, metavar="PLACE", help="an empty folder, or s3://...")
    restore = commands.add_parser("restore", help="copy all records of a backup into the store")
    restore.add_argument(
        "--from", required=True, dest="place", metavar="PLACE", help="a folder, or s3://..."
    )
    for copying in (backup, restore):
        copying.add_argument(
            "--skip-damaged", action="store_true", help="leave what is not well out of the copy"
        )
    for command in commands.choices.values():
        add_store_arguments(command)


def run(args: argparse.Namespace) -> int:
    """Do it, and say what was found."""
    settings = settings_for(args)
    with _opened(settings.state, settings.store) as store, audited(settings, f"store.{args.task}"):
        if args.task == "check":
            return _check(store, deep=args.deep, quarantine=args.quarantine)
        if args.task == "migrate":
            return _migrate(store)
        place = args.to if args.task == "backup" else args.place
        with _elsewhere(place, settings.state, is_there=args.task == "restore") as other:
            source, target = (store, other) if args.task == "backup" else (other, store)
            return _copy(source, target, skip=args.skip_damaged)


def _check(store: Store, *, deep: bool, quarantine: bool) -> int:
    inspection = Inspection(store.files, deep=deep)
    paths, bad = inspection.paths(), 0
    for finding in _findings(inspection, paths):
        bad += 1
        aside = quarantine and inspection.quarantine(finding)
        _tell(finding, "put aside" if aside else "")
    print(f"{len(paths)} record(s), {bad} not well")
    return NOT_WELL if bad else 0


def _migrate(store: Store) -> int:
    inspection = Inspection(store.files)
    paths = [path for path in inspection.paths() if path.endswith((".seg", "/volume.json"))]
    bad = {finding.path for finding in map(inspection.look, paths) if finding is not None}
    count = 0
    for path in _shown(paths, "migrating"):
        if path in bad:
            tqdm.write(f"{path}: left as it is, for it can not be read")
        else:
            count += migrate(store.files, path)
    print(f"{count} record(s) written in the form of this version, {len(bad)} not well")
    return NOT_WELL if bad else 0


def _copy(source: Store, target: Store, *, skip: bool) -> int:
    bar = _bar(None, "copying")

    def progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    with bar:
        copied = copy_store(source.files, target.files, progress)
    # What counts is the copy, as it will be read.
    inspection, bad = Inspection(target.files), 0
    for finding in _findings(inspection, inspection.paths()):
        bad += 1
        if skip:
            inspection.remove(finding)
        _tell(finding, "left out" if skip else "")
    print(
        f"{copied.volumes} volume(s), {copied.segmentations} segmentation(s),"
        f" {copied.results} result(s) and {copied.answers} kept answer(s) copied, {bad} not well"
    )
    return NOT_WELL if bad else 0


def _findings(inspection: Inspection, paths: Iterable[str]) -> Iterator[Finding]:
    for path in _shown(paths, "checking"):
        finding = inspection.look(path)
        if finding is not None:
            yield finding


def _tell(finding: Finding, done: str) -> None:
    words = f"{finding.path}: {finding.fault}: {finding.detail}"
    tqdm.write(f"{words} ({done})" if done else words)


def _shown(paths: Iterable[str], what: str) -> Iterable[str]:
    return _bar(paths, what)


def _bar(paths: Iterable[str] | None, what: str) -> "tqdm[Any]":
    return tqdm(paths, desc=what, unit=" records", delay=PATIENCE_SECONDS, leave=False)


@contextmanager
def _opened(state: Path, url: str | None) -> Iterator[Store]:
    store = open_store(state, url)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _elsewhere(place: str, state: Path, *, is_there: bool) -> Iterator[Store]:
    """The store of a backup: a folder, or a bucket with ``state`` for what is not finished."""
    is_url = "://" in place
    if is_there and not is_url and not (Path(place) / "store.json").exists():
        raise SettingsInvalid(f"{place} is no backup: it has no store.json")
    url = Settings.load({"store": place}).store if is_url else None
    with _opened(state if is_url else Path(place), url) as store:
        yield store
