"""Networks -> bundle: every graph is checked against its network before anything is written."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import JsonValue

from sammoe.bundle import (
    Bundle,
    Manifest,
    ModelConfig,
    add_model,
    add_selector,
)
from sammoe.bundle.assembling import complete, folders_before
from sammoe.bundle.locking import locked
from sammoe.bundle.self_test import record_self_test
from sammoe.errors import BundleInvalid
from sammoe.export.answering import NetworkRunner
from sammoe.export.making import Made, bounds, make
from sammoe.export.parts import ExpertDecoder, Gate, gate_mode, parts_of
from sammoe.export.release import Release
from sammoe.model import SamMed3D, SamMed3DConfig
from sammoe.model.gate_features import TOKENS


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
        Task decoders in the order of the gate's scores; both or neither. The gate's form decides
        the manifest's ``routing.gate``.
    half
        Round weights to float16 and store them so: half the size. What that changes is measured,
        bounded by :data:`sammoe.export.parity.HALF` and written down; the graphs still compute in
        float32 and equal the rounded networks within :data:`sammoe.export.parity.EXACT`.
    replace
        Whether ``out`` may hold a bundle already; its model folders that are not part of the new
        one are removed once that is complete, but for those of the bundle that
        :func:`sammoe.bundle.releases.rollback` goes back to.
    report
        Called with each part's plain name before it is made.

    Raises
    ------
    ExportMismatch
        A graph differs from its network by more than its bound; nothing was written.
    BundleInvalid
        ``out`` holds something and ``replace`` is not given, or the parts contradict each other.
    Conflict
        Somebody else goes on writing into ``out``.
    """
    folders_before(out, replace=replace)  # before anything that takes long
    parts = parts_of(model, experts, gate)
    if release.window.side != model.config.image_size:
        raise BundleInvalid(
            f"windows of {release.window.side} voxels do not fit a network for"
            f" {model.config.image_size}"
        )
    made: dict[str, Made] = {}
    for plain, part in parts.items():
        report(plain)
        made[plain] = make(plain, part, half=half)

    measured: dict[str, JsonValue] = {plain: graph.measured for plain, graph in made.items()}
    checks: dict[str, JsonValue] = {"measured": measured, "bounds": bounds(half=half)}
    details = release.provenance.details | {"export": checks}
    sizes, names = _model_config(model.config), tuple(e.expert.name for e in experts)
    runner = NetworkRunner({plain: graph.module for plain, graph in made.items()})
    routing = release.routing
    self_test = record_self_test(sizes, release.window.side, names, runner)
    out.mkdir(parents=True, exist_ok=True)
    with locked(out):
        stale = folders_before(out, replace=replace)
        models: dict[str, str] = {}
        files: dict[str, str] = {}
        for plain, graph in made.items():
            models[plain], digests = add_model(out, plain, graph.files)
            files |= digests
        manifest = Manifest(
            name=release.name,
            model=sizes,
            window=release.window,
            routing=routing.model_copy(update={"gate": gate_mode(gate)}) if gate else routing,
            models=models,
            files=files,
            experts=tuple(expert.expert for expert in experts),
            provenance=release.provenance.model_copy(update={"details": details}),
            self_test=self_test,
        )
        return complete(out, add_selector(out, manifest), stale)


def _model_config(config: SamMed3DConfig) -> ModelConfig:
    return ModelConfig(
        embedding_channels=config.embedding_channels,
        width=config.prompt_dim,
        grid=config.grid,
        boxes=config.box_embeddings,
        gate_tokens=TOKENS,
        architecture=config.to_dict(),
    )
