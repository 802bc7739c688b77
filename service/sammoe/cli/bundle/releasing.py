"""``sammoe bundle upgrade``, ``publish`` and ``rollback``; none needs torch.

Files first, the record last: front ends follow the record, and find there what it names. What was
looked at when a command began must be so still when it is alone with the folder, and the record
changes only from that: so of two at the same time one is refused, and changes nothing.
"""

import argparse
import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sammoe.bundle import Bundle, assembling, load_bundle, manifest_digest, releases
from sammoe.cli.assembly import open_store
from sammoe.cli.auditing import audited_if_kept
from sammoe.cli.bundles import find_bundle
from sammoe.cli.progress import steps
from sammoe.engine.verifying import verify_bundle
from sammoe.errors import Conflict
from sammoe.settings import Settings
from sammoe.store import ReleaseRecord, Store, now
from sammoe.store.published import Seen


def upgrade(args: argparse.Namespace) -> int:
    """Copy the models, and add the selector and their descriptions for TensorRT."""
    with steps(2) as progress:
        progress.begin("checking files")
        bundle = load_bundle(find_bundle(args.folder))
        progress.begin("copying")
        upgraded = assembling.upgrade(bundle, out=args.out, replace=args.replace)
    print(upgraded.in_short())
    return 0


def publish(args: argparse.Namespace) -> int:
    """Check every file, load the bundle, run its self-test; only then put it in place."""
    with _store(args) as store, audited_if_kept("bundle.publish") as objects, steps(3) as progress:
        looked = _look(store, args.to)
        progress.begin("checking files")
        bundle = load_bundle(args.new)
        objects["bundle"] = bundle.digest
        progress.begin("running the self-test")
        share = verify_bundle(bundle)
        progress.begin("copying")
        args.to.mkdir(parents=True, exist_ok=True)
        with releases.changing(args.to):
            seen = _look_again(store, args.to, looked)
            active = _active(seen)
            published = releases.publish(bundle, args.to, None if active is None else active.digest)
            told = _tell(store, seen, published)
            releases.tidy(args.to)
    print(
        f"{args.to}: {published.manifest.name}, digest {published.digest[:12]}; self-test passed"
        f" ({share:.0%} of the allowed difference){told}"
    )
    return 0


def rollback(args: argparse.Namespace) -> int:
    """Exchange the bundle with the one before."""
    with _store(args) as store, audited_if_kept("bundle.rollback") as objects, steps(1) as progress:
        looked = _look(store, args.folder)
        progress.begin("checking files")
        with releases.changing(args.folder):
            seen = _look_again(store, args.folder, looked)
            before = () if seen is None or seen.record is None else seen.record.before
            bundle = releases.rollback(args.folder, before[0].digest if before else None)
            objects["bundle"] = bundle.digest
            told = _tell(store, seen, bundle)
    print(f"{args.folder}: {bundle.manifest.name}, digest {bundle.digest[:12]}, as before{told}")
    return 0


@contextmanager
def _store(args: argparse.Namespace) -> Iterator[Store | None]:
    """The store that is named by an option or a variable, if any is."""
    given = {"state": args.state, "store": args.store}
    settings = Settings.load({name: value for name, value in given.items() if value is not None})
    if settings.model_fields_set.isdisjoint(given):
        yield None
        return
    store = open_store(settings.state, settings.store)
    try:
        yield store
    finally:
        store.close()


def _look(store: Store | None, folder: Path) -> tuple[Seen | None, str | None]:
    """The store's record, and the digest of the bundle that the folder names; None where there is
    none."""
    return None if store is None else store.published.look(), manifest_digest(folder)


def _look_again(
    store: Store | None, folder: Path, before: tuple[Seen | None, str | None]
) -> Seen | None:
    """The store's record; raises `Conflict` where it or the folder's bundle is another than
    before."""
    found = _look(store, folder)
    if found != before:
        raise Conflict("Somebody else has changed the active bundle meanwhile: look again.")
    return found[0]


def _active(seen: Seen | None) -> ReleaseRecord | None:
    return None if seen is None or seen.record is None else seen.record.active


def _tell(store: Store | None, seen: Seen | None, bundle: Bundle) -> str:
    """Let the front ends of a store follow; what to say about it."""
    if store is None or seen is None:
        return ""
    active = _active(seen)
    if active is not None and active.digest == bundle.digest:
        return f"; active since {active.since:%Y-%m-%d %H:%M} UTC, by {active.by}"
    release = ReleaseRecord(
        digest=bundle.digest, name=bundle.manifest.name, since=now(), by=_operator()
    )
    store.published.activate(release, seen)
    return "; active now" if active is None else f"; active in place of {active.digest[:12]}"


def _operator() -> str:
    """The user of this machine's, and the machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
