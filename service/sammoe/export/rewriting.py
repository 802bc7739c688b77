"""Exporting what of a changed bundle is new; the rest is copied as it is."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from sammoe.bundle import (
    GATE,
    GENERAL_DECODER,
    Bundle,
    Expert,
    Manifest,
    Provenance,
)
from sammoe.bundle.assembling import assemble
from sammoe.bundle.self_test import record_self_test
from sammoe.export.answering import NetworkRunner
from sammoe.export.making import Made, bounds, make
from sammoe.export.parts import ExpertDecoder, Gate, gate_mode, parts_of
from sammoe.export.reading import Networks, read_state


def rewrite(
    bundle: Bundle,
    networks: Networks,
    experts: Sequence[Expert],
    gate: Gate | None,
    *,
    changed: Collection[str] = (),
    out: Path,
    replace: bool,
) -> Bundle:
    """Write ``bundle`` with these experts and this gate; decoders that it lacks are exported.

    What a calibration said of the bundle goes: it is of other experts, or of another gate.

    Parameters
    ----------
    networks
        The bundle's, with a decoder for each of ``experts``.
    changed
        Plain names of decoders that differ from the bundle's.
    out, replace
        As for :func:`sammoe.bundle.assembling.assemble`.

    Raises
    ------
    ExportMismatch
        A new graph differs from its network; nothing was written.
    BundleInvalid
        The gate's scores are not those of the experts; or as for `assemble`.
    """
    manifest, half = bundle.manifest, read_state(bundle, GENERAL_DECODER).half
    decoders = [ExpertDecoder(expert, networks.experts[expert.name]) for expert in experts]
    parts = parts_of(networks.model, decoders, gate, tokens=manifest.model.gate_tokens)
    kept = manifest.models.keys() - {GATE, *changed}
    new = [plain for plain in parts if plain not in kept]
    made = {plain: make(plain, parts[plain], half=half) for plain in new}
    modules = {plain: part.module for plain, part in parts.items()}
    modules |= {plain: graph.module for plain, graph in made.items()}
    names = tuple(expert.name for expert in experts)
    routing = manifest.routing.of_experts(names)
    described = manifest.model_copy(
        update={
            "experts": tuple(experts),
            "models": dict.fromkeys(parts, ""),
            "routing": routing.model_copy(update={"gate": gate_mode(gate)}) if gate else routing,
            "provenance": _provenance(manifest, made, list(parts), half=half),
            "self_test": record_self_test(
                manifest.model, manifest.window.side, names, NetworkRunner(modules)
            ),
        }
    )
    files = {plain: graph.files for plain, graph in made.items()}
    return assemble(bundle, described, files, out=out, replace=replace)


def _provenance(
    manifest: Manifest, made: Mapping[str, Made], parts: Sequence[str], *, half: bool
) -> Provenance:
    """With what was measured of every graph that the new bundle holds, and of nothing else."""
    details = {k: v for k, v in manifest.provenance.details.items() if k != "calibration"}
    before = details.get("export")
    known = before.get("measured") if isinstance(before, dict) else None
    measured: dict[str, JsonValue] = dict(known) if isinstance(known, dict) else {}
    measured |= {plain: graph.measured for plain, graph in made.items()}
    checks: dict[str, JsonValue] = {
        "measured": {plain: measured[plain] for plain in parts if plain in measured},
        "bounds": bounds(half=half),
    }
    return manifest.provenance.model_copy(update={"details": details | {"export": checks}})
