"""Writing a bundle that differs from another in a few models: the rest is copied as it is."""

import shutil
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
    add_model,
    load_bundle,
    write_manifest,
)
from sammoe.bundle.self_test import record_self_test
from sammoe.errors import BundleInvalid
from sammoe.export.answering import NetworkRunner
from sammoe.export.making import Made, bounds, folders_before, make
from sammoe.export.parts import ExpertDecoder, Gate, gate_mode, parts_of
from sammoe.export.reading import Networks, read_state

Files = Mapping[str, bytes | Path]
"""Path within a model folder -> its content, or a file to copy."""


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
        As for :func:`assemble`.

    Raises
    ------
    ExportMismatch
        A new graph differs from its network; nothing was written.
    BundleInvalid
        The gate's scores are not those of the experts; or as for :func:`assemble`.
    """
    manifest, half = bundle.manifest, read_state(bundle, GENERAL_DECODER).half
    decoders = [ExpertDecoder(expert, networks.experts[expert.name]) for expert in experts]
    parts = parts_of(networks.model, decoders, gate)
    kept = manifest.models.keys() - {GATE, *changed}
    new = [plain for plain in parts if plain not in kept]
    made = {plain: make(plain, parts[plain], half=half) for plain in new}
    modules = {plain: part.module for plain, part in parts.items()}
    modules |= {plain: graph.module for plain, graph in made.items()}
    routing, names = manifest.routing, tuple(expert.name for expert in experts)
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


def assemble(
    bundle: Bundle, manifest: Manifest, files: Mapping[str, Files], *, out: Path, replace: bool
) -> Bundle:
    """Write a bundle folder and load it again, verified.

    Parameters
    ----------
    bundle
        Where everything that does not change is copied from, byte for byte.
    manifest
        Of the new bundle; of ``models`` and ``files`` only the plain names count.
    files
        Plain name -> content of its folder, for models that are not the bundle's.
    out
        An empty or new folder, with ``replace`` one that holds another bundle, or the bundle's
        own. The manifest comes last, then folders that it no longer names are removed.

    Raises
    ------
    BundleInvalid
        ``out`` holds other things, or the bundle was changed since its manifest was written.
    """
    here = out.exists() and out.samefile(bundle.path)
    before = bundle.manifest
    stale = set(before.models.values()) if here else folders_before(out, replace=replace)
    models: dict[str, str] = {}
    digests: dict[str, str] = {}
    for plain in manifest.models:
        content = files.get(plain)
        if content is None and here:
            models[plain] = before.models[plain]
            digests |= _files_of(before, plain)
            continue
        models[plain], written = add_model(out, plain, content or paths_of(bundle, plain))
        digests |= written
        if content is None and models[plain] != before.models[plain]:
            raise BundleInvalid(
                f"{bundle.path / before.models[plain]} differs from its manifest: copy the bundle"
                " again as a whole"
            )
    fields = dict(manifest) | {"models": models, "files": digests}
    write_manifest(out, Manifest(**fields))
    for folder in stale - set(models.values()):
        shutil.rmtree(out / folder)
    return load_bundle(out)


def paths_of(bundle: Bundle, plain: str) -> dict[str, bytes | Path]:
    """Files of one model: path within its folder -> where it lies."""
    folder = bundle.manifest.models[plain]
    files = _files_of(bundle.manifest, plain)
    return {name.removeprefix(f"{folder}/"): bundle.path / name for name in files}


def _files_of(manifest: Manifest, plain: str) -> dict[str, str]:
    folder = f"{manifest.models[plain]}/"
    return {name: digest for name, digest in manifest.files.items() if name.startswith(folder)}


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
