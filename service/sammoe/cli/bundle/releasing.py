"""``sammoe bundle upgrade``, ``publish`` and ``rollback``; none needs torch."""

import argparse

from sammoe.bundle import assembling, load_bundle, releases
from sammoe.cli.bundles import find_bundle
from sammoe.cli.progress import steps
from sammoe.engine.verifying import verify_bundle


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
    with steps(3) as progress:
        progress.begin("checking files")
        bundle = load_bundle(args.new)
        progress.begin("running the self-test")
        share = verify_bundle(bundle)
        progress.begin("copying")
        published = releases.publish(bundle, args.to)
    print(
        f"{args.to}: {published.manifest.name}, digest {published.digest[:12]}; self-test passed"
        f" ({share:.0%} of the allowed difference)"
    )
    return 0


def rollback(args: argparse.Namespace) -> int:
    """Exchange the bundle with the one before."""
    with steps(1) as progress:
        progress.begin("checking files")
        bundle = releases.rollback(args.folder)
    print(f"{args.folder}: {bundle.manifest.name}, digest {bundle.digest[:12]}, as before")
    return 0
