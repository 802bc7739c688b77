"""A bundle with one thing changed: experts come and go, the rest stays byte for byte.

Every function writes a complete bundle into ``out``: an empty or new folder, with ``replace`` one
that holds another bundle, or the bundle's own. Only what is new is exported, and checked against
its network; the manifest comes last, so that a stop on the way leaves what was there.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from sammoe.bundle import (
    FEATURES_FILE,
    GENERAL_DECODER,
    Bundle,
    Expert,
    ReferenceFeatures,
    decoder_name,
)
from sammoe.bundle.assembling import assemble, paths_of
from sammoe.errors import BundleInvalid
from sammoe.export.parts import Gate
from sammoe.export.reading import load_networks
from sammoe.export.rewriting import rewrite
from sammoe.model.gate import ExpertHeads
from sammoe.model.heads_file import HeadFile
from sammoe.model.mask_decoder import MaskDecoder


def with_expert(
    bundle: Bundle,
    decoder: MaskDecoder,
    expert: Expert,
    head: HeadFile,
    *,
    out: Path,
    replace: bool = False,
) -> Bundle:
    """Add an expert at the end; the scores of the others stay bit-identical.

    Parameters
    ----------
    bundle
        With a gate of heads, or without experts but with reference features.
    decoder
        Trained behind the bundle's encoder and prompt encoder.
    expert
        What the manifest says of it.
    head
        Trained for it on the bundle's general model and reference features.

    Raises
    ------
    BundleInvalid
        There is an expert of that name, the gate is of another mode, the head belongs to another
        expert, or was trained with other reference features.
    ExportMismatch
        A new graph differs from its network; nothing was written.
    """
    networks = load_networks(bundle)
    experts = (*bundle.manifest.experts, expert)
    if expert.name in networks.experts:
        raise BundleInvalid(f"{bundle.path} has an expert called {expert.name}: remove it first")
    check_head(bundle, expert.name, head)
    gate = networks.gate
    if gate is None:
        assert networks.reference is not None
        mean, deviation = networks.reference.mean, networks.reference.deviation
        gate = ExpertHeads(torch.from_numpy(mean), torch.from_numpy(deviation))
    if not isinstance(gate, ExpertHeads):
        raise BundleInvalid(_joint(bundle, "adding"))
    gate.add(expert.name, head.net)
    networks.experts[expert.name] = decoder
    return rewrite(bundle, networks, experts, gate, out=out, replace=replace)


def without_expert(bundle: Bundle, name: str, *, out: Path, replace: bool = False) -> Bundle:
    """Take an expert out, its head with it; the scores of the others stay bit-identical.

    Raises
    ------
    BundleInvalid
        There is no such expert, or a joint gate chooses between it and others.
    """
    networks = load_networks(bundle)
    experts = tuple(expert for expert in bundle.manifest.experts if expert.name != name)
    if name not in networks.experts:
        known = ", ".join(networks.experts) or "none"
        raise BundleInvalid(f"{bundle.path} has no expert called {name}; it has: {known}")
    del networks.experts[name]
    gate = networks.gate
    if isinstance(gate, ExpertHeads):
        del gate.heads[name]
    elif experts:
        raise BundleInvalid(_joint(bundle, "removing"))
    return rewrite(bundle, networks, experts, gate if experts else None, out=out, replace=replace)


def with_gate(
    bundle: Bundle,
    gate: Gate,
    decoders: Mapping[str, MaskDecoder] | None = None,
    *,
    out: Path,
    replace: bool = False,
) -> Bundle:
    """Exchange the gate; ``routing.gate`` follows its form, thresholds stay.

    Parameters
    ----------
    decoders
        Expert of the bundle -> its new decoder, where it learnt with the gate.

    Raises
    ------
    BundleInvalid
        The gate's scores are not those of the bundle's experts.
    """
    if not bundle.manifest.experts:
        raise BundleInvalid(f"{bundle.path} has no experts between which a gate could choose")
    networks = load_networks(bundle)
    learnt = decoders or {}
    networks.experts.update(learnt)
    return rewrite(
        bundle,
        networks,
        bundle.manifest.experts,
        gate,
        changed=[decoder_name(name) for name in learnt],
        out=out,
        replace=replace,
    )


def with_reference(
    bundle: Bundle, reference: ReferenceFeatures, *, out: Path, replace: bool = False
) -> Bundle:
    """Put the features of random prompts beside the general decoder.

    Raises
    ------
    BundleInvalid
        The bundle has heads already, trained with other features; or these are of another length
        than its own.
    """
    width = bundle.manifest.model.gate_features
    if reference.standard.shape[1:] != (width,):
        raise BundleInvalid(
            f"the features have shape {reference.standard.shape}, not [n, {width}]: make them with"
            f" sammoe train negatives --bundle {bundle.path}"
        )
    check_no_heads(bundle)
    files = paths_of(bundle, GENERAL_DECODER) | {FEATURES_FILE: reference.to_bytes()}
    return assemble(bundle, bundle.manifest, {GENERAL_DECODER: files}, out=out, replace=replace)


def check_no_heads(bundle: Bundle) -> None:
    """Refuse a bundle whose heads would not fit other features of random prompts.

    Raises
    ------
    BundleInvalid
        It has heads.
    """
    if bundle.manifest.experts and bundle.manifest.routing.gate == "heads":
        raise BundleInvalid(
            f"{bundle.path} has heads, trained with the features that it holds: remove the experts"
            " first, or start from the general model's bundle"
        )


def check_head(bundle: Bundle, name: str, head: HeadFile) -> None:
    """Refuse a head that was not trained for this expert on this bundle's general model.

    Raises
    ------
    BundleInvalid
        It is another expert's, the bundle has no reference features, or the head was trained with
        others.
    """
    manifest = bundle.manifest
    if head.name != name:
        raise BundleInvalid(f"the head is for the expert {head.name}, not for {name}")
    features = manifest.files.get(f"{manifest.models[GENERAL_DECODER]}/{FEATURES_FILE}")
    if features is None:
        raise BundleInvalid(
            f"{bundle.path} ships no features of random prompts, which heads are trained with: make"
            " them with sammoe train negatives"
        )
    if head.reference != features:
        raise BundleInvalid(
            f"the head of {name} was trained for another general model or other random prompts:"
            f" train it again with sammoe train gate --bundle {bundle.path}"
        )


def _joint(bundle: Bundle, doing: str) -> str:
    mode = bundle.manifest.routing.gate
    return (
        f"{bundle.path} has a {mode} gate, which chooses between the experts that it was trained"
        f" with: after {doing} one it must be trained again; do it in the bundle with heads"
    )
