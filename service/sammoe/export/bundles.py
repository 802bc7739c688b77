"""Networks -> bundle: every graph is checked against its network before anything is written."""

import copy
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
from pydantic import JsonValue

from sammoe.bundle import (
    ENCODER,
    MANIFEST_NAME,
    Bundle,
    Manifest,
    ModelConfig,
    add_model,
    load_bundle,
    write_manifest,
)
from sammoe.errors import BundleInvalid
from sammoe.export.parity import EXACT, HALF, graph_difference, rounding_difference
from sammoe.export.parts import ExpertDecoder, Gate, Part, parts_of
from sammoe.export.release import Release
from sammoe.export.tracing import halve_storage, round_output, round_weights, trace
from sammoe.model import SamMed3D, SamMed3DConfig


def export_bundle(
    model: SamMed3D,
    out: Path,
    release: Release,
    *,
    experts: Sequence[ExpertDecoder] = (),
    gate: Gate | None = None,
    half: bool = False,
    replace: bool = False,
    report: Callable[[str], None] = lambda plain: None,
) -> Bundle:
    """Write a bundle and load it again, verified.

    Parameters
    ----------
    model
        Encoder, prompt encoder and general decoder.
    out
        The bundle's folder; made when missing.
    release
        What the manifest says beyond the weights.
    experts, gate
        Task decoders in the order of the gate's scores; both or neither.
    half
        Round weights to float16 and store them so: half the size. What that changes is measured,
        bounded by :data:`sammoe.export.parity.HALF` and written down; the graphs still compute in
        float32 and equal the rounded networks within :data:`sammoe.export.parity.EXACT`.
    replace
        Whether ``out`` may hold a bundle already; its model folders that are not part of the new
        one are removed once that is complete.
    report
        Called with each part's plain name before it is made.

    Raises
    ------
    ExportMismatch
        A graph differs from its network by more than its bound; nothing was written.
    BundleInvalid
        ``out`` holds something and ``replace`` is not given, or the parts contradict each other.
    """
    folders_before = _folders_before(out, replace=replace)
    parts = parts_of(model, experts, gate)
    if release.window.side != model.config.image_size:
        raise BundleInvalid(
            f"windows of {release.window.side} voxels do not fit a network for"
            f" {model.config.image_size}"
        )
    graphs: dict[str, onnx.ModelProto] = {}
    measured: dict[str, JsonValue] = {}
    for plain, part in parts.items():
        report(plain)
        graphs[plain], measured[plain] = _make_graph(plain, part, half=half)
    bounds: dict[str, JsonValue] = {"graph": EXACT}
    if half:
        bounds["rounding"] = HALF

    models: dict[str, str] = {}
    files: dict[str, str] = {}
    for plain, part in parts.items():
        graph = graphs[plain].SerializeToString(deterministic=True)
        models[plain], digests = add_model(
            out, plain, {"config.pbtxt": part.config().encode(), "1/model.onnx": graph}
        )
        files |= digests
    details = release.provenance.details | {"export": {"measured": measured, "bounds": bounds}}
    manifest = Manifest(
        name=release.name,
        model=_model_config(model.config),
        window=release.window,
        routing=release.routing,
        models=models,
        files=files,
        experts=tuple(expert.expert for expert in experts),
        provenance=release.provenance.model_copy(update={"details": details}),
    )
    write_manifest(out, manifest)
    for folder in folders_before - set(models.values()):
        shutil.rmtree(out / folder)
    return load_bundle(out)


def _folders_before(out: Path, *, replace: bool) -> set[str]:
    """Model folders of the bundle that is to be replaced."""
    if not out.exists() or not any(out.iterdir()):
        return set()
    if not (out / MANIFEST_NAME).is_file():
        raise BundleInvalid(f"{out} holds other things: choose an empty folder")
    if not replace:
        raise BundleInvalid(f"{out} holds a bundle: choose another folder, or --replace it")
    return set(load_bundle(out, verify=False).manifest.models.values())


def _make_graph(
    plain: str, part: Part, *, half: bool
) -> tuple[onnx.ModelProto, dict[str, JsonValue]]:
    """The graph, and how far it is from its network (and, with ``half``, that from itself)."""
    module, measured = part.module, dict[str, JsonValue]()
    if half:
        module = copy.deepcopy(part.module)
        round_weights(module)
        measured["rounding"] = rounding_difference(plain, part.module, module, part.examples)
    names = [spec.name for spec in part.outputs]
    graph = trace(module, part.examples[-1], names)
    if half:
        graph = halve_storage(graph)
    measured["graph"] = graph_difference(plain, graph, module, part.examples)
    if plain == ENCODER:
        # Inside the graph: a cached embedding and a fresh one are the same bytes.
        graph = round_output(graph)
    return graph, measured


def _model_config(config: SamMed3DConfig) -> ModelConfig:
    return ModelConfig(
        embedding_channels=config.embedding_channels,
        width=config.prompt_dim,
        grid=config.grid,
        boxes=config.box_embeddings,
        architecture=config.to_dict(),
    )
