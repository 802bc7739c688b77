"""``sammoe bundle publish`` and ``sammoe bundle rollback``; neither needs torch."""

import argparse

from sammoe.bundle import load_bundle, releases
from sammoe.cli.bundle.verifying import verify
from sammoe.cli.progress import steps


def publish(args: argparse.Namespace) -> int:
    """Check every file, load the bundle, run its self-test; only then put it in place."""
    with steps(3) as progress:
        progress.begin("checking files")
        bundle = load_bundle(args.new)
        progress.begin("running the self-test")
        share = verify(bundle)
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
