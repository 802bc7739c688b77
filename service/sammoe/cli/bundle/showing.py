"""``sammoe bundle show``: what a bundle holds, with every file checked."""

import argparse
from collections.abc import Mapping

from sammoe.bundle import Bundle, Expert, PromptKind, Routing, load_bundle
from sammoe.cli.bundles import find_bundle
from sammoe.cli.progress import steps


def show(args: argparse.Namespace) -> int:
    """Print the bundle; a bundle whose files do not fit its manifest is an error."""
    with steps(1) as progress:
        progress.begin("checking files")
        bundle = load_bundle(find_bundle(args.folder))
    print(summary(bundle))
    return 0


def summary(bundle: Bundle) -> str:
    """Some lines for people."""
    manifest = bundle.manifest
    window = manifest.window
    widths = ", ".join(f"{spacing:g} ({spacing * window.side:g})" for spacing in window.spacings)
    size = sum((bundle.path / name).stat().st_size for name in manifest.files)
    rows = [
        ("bundle", manifest.name),
        ("folder", str(bundle.path)),
        ("digest", bundle.digest),
        ("size", f"{size / 1e6:.1f} MB in {len(manifest.files)} files, all as their SHA-256 says"),
        ("window", f"{window.side} voxels a side; spacings in mm (width): {widths}"),
        ("boxes", "native" if manifest.model.boxes else "mapped to a click and a prior"),
        *(_routing(manifest.routing) if manifest.experts else ()),
        ("experts", str(len(manifest.experts))),
        *((f"  {expert.name}", _expert(expert)) for expert in manifest.experts),
        ("source", manifest.provenance.source),
        ("trained", manifest.provenance.training_data),
        ("licence", manifest.provenance.licence),
        ("created", manifest.provenance.created.isoformat()),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _expert(expert: Expert) -> str:
    classes = f"; classes {', '.join(expert.classes)}" if expert.classes else ""
    return f"{expert.label} ({', '.join(expert.modalities)}){classes}"


def _routing(routing: Routing) -> list[tuple[str, str]]:
    return [
        ("gate", f"{routing.gate}; fuses {routing.fusion}"),
        ("tau", ", ".join(f"{kind} {tau:g}" for kind, tau in routing.tau.items())),
        ("slack", _slack(routing.slack)),
        *((f"  of {name}", _slack(own)) for name, own in routing.own_slack.items()),
    ]


def _slack(slack: Mapping[PromptKind, float | None]) -> str:
    values = {kind: "no check" if s is None else f"{s:g}" for kind, s in slack.items()}
    return ", ".join(f"{kind} {text}" for kind, text in values.items())
