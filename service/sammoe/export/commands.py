"""What ``sammoe bundle add-expert``, ``remove-expert`` and ``set-gate`` do."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import ValidationError
from torch import nn

from sammoe.bundle import Bundle, Expert, load_bundle, load_reference
from sammoe.bundle.finding import find_bundle
from sammoe.errors import BundleInvalid, CheckpointInvalid, SettingsInvalid
from sammoe.export.mixing import check_head, with_expert, with_gate, without_expert
from sammoe.export.parts import Gate
from sammoe.export.plan_building import find_tensorrt
from sammoe.export.plans import with_plans
from sammoe.export.reading import read_gate
from sammoe.export.sharing import check_shared
from sammoe.model.checkpoint import load_checkpoint
from sammoe.model.gate import ExpertHeads
from sammoe.model.heads_file import HeadFile, load_gate, load_head
from sammoe.model.mask_decoder import MaskDecoder

_OPTIONS: Final = {
    "name": "name",
    "label": "label",
    "modalities": "modality",
    "codes": "code",
    "classes": "classes",
    "training_data": "training_data",
    "licence": "licence",
}
"""Field of a manifest's expert -> the option that sets it."""


def add_expert(args: argparse.Namespace) -> Bundle:
    """The bundle with the checkpoint's decoder as its last expert.

    Raises
    ------
    CheckpointInvalid
        The checkpoint does not share the bundle's networks, or does not say what it is for.
    SettingsInvalid
        It does, and its head is not given.
    """
    bundle = load_bundle(find_bundle(args.folder))
    checkpoint = load_checkpoint(args.checkpoint)
    check_shared(bundle, checkpoint.model, args.checkpoint)
    if args.head is None:
        raise SettingsInvalid(
            f"{args.checkpoint} shares the bundle's networks; what it lacks is its head: make it"
            f" with {_to_head(args, bundle)}, and give it as --head"
        )
    head = load_head(args.head)
    expert = describe(args, args.checkpoint, checkpoint.metadata)
    decoder = checkpoint.model.mask_decoder
    return with_expert(bundle, decoder, expert, head, out=args.out, replace=args.replace)


def remove_expert(args: argparse.Namespace) -> Bundle:
    """The bundle without an expert."""
    bundle = load_bundle(find_bundle(args.folder))
    return without_expert(bundle, args.name, out=args.out, replace=args.replace)


def set_gate(args: argparse.Namespace) -> Bundle:
    """The bundle behind another gate."""
    bundle = load_bundle(find_bundle(args.folder))
    gate = _heads(bundle, args.head) if args.head else _whole_gate(bundle, args.gate)
    decoders = _decoders(bundle, args.checkpoint)
    return with_gate(bundle, gate, decoders, out=args.out, replace=args.replace)


def add_plans(args: argparse.Namespace) -> Bundle:
    """The bundle with TensorRT plans."""
    find_tensorrt()  # before anything that takes long
    bundle = load_bundle(find_bundle(args.folder))
    return with_plans(bundle, out=args.out, half=args.half, replace=args.replace)


def describe(args: argparse.Namespace, source: Path, metadata: Mapping[str, str]) -> Expert:
    """What the manifest will say of an expert: the command line's words, else the checkpoint's.

    Parameters
    ----------
    args
        Options of the command; those that it does not have count as not given.
    source, metadata
        The checkpoint's file and what it says.

    Raises
    ------
    CheckpointInvalid
        Something is missing or malformed; the detail says which option to give.
    """
    given = {field: vars(args).get(option) for field, option in _OPTIONS.items()}
    words = {field: value for field, value in given.items() if value}
    try:
        if "expert" in metadata:
            known = Expert.model_validate_json(metadata["expert"]).model_dump()
        else:
            known = _unknown(source, words)
        return Expert.model_validate(known | words)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "/".join(str(part) for part in first["loc"]) or "description"
        raise CheckpointInvalid(
            f"{source}: the expert's {place} is wrong: {first['msg']}"
        ) from error


def _to_head(args: argparse.Namespace, bundle: Bundle) -> str:
    """The command that makes the head, told of the task what ``add-expert`` was told."""
    task = {
        "--name": [args.name] if args.name else [],
        "--modality": args.modality or [],
        "--class": args.classes or [],
    }
    words = [" ".join((name, *values)) for name, values in task.items() if values]
    command = f"sammoe train gate --bundle {bundle.path} --checkpoint {args.checkpoint}"
    return " ".join([command, *words, "--data ..."])


def _unknown(source: Path, words: Mapping[str, Any]) -> dict[str, Any]:
    """For a checkpoint that says nothing of its task."""
    missing = [f"--{_OPTIONS[field]}" for field in ("name", "modalities") if field not in words]
    if missing:
        raise CheckpointInvalid(
            f"{source} does not say what it is for: give {' and '.join(missing)}"
        )
    return {
        "label": words["name"].replace("_", " "),
        "classes": (words["name"],),
        "training_data": "not stated",
        "licence": "not stated",
    }


def _heads(bundle: Bundle, files: list[Path]) -> Gate:
    """These heads, and the bundle's own for the other experts, in the experts' order."""
    reference = load_reference(bundle)
    heads: dict[str, HeadFile] = {}
    for head in map(load_head, files):
        if head.name in heads:
            raise BundleInvalid(f"two heads are for the expert {head.name}: give one")
        check_head(bundle, head.name, head)
        heads[head.name] = head
    assert reference is not None
    names = [expert.name for expert in bundle.manifest.experts]
    if unknown := heads.keys() - set(names):
        raise BundleInvalid(f"{bundle.path} has no expert called {', '.join(sorted(unknown))}")
    before = read_gate(bundle)
    nets: dict[str, nn.Module] = {}
    if isinstance(before, ExpertHeads):
        nets |= before.heads.items()
    nets |= {name: head.net for name, head in heads.items()}
    gate = ExpertHeads(torch.from_numpy(reference.mean), torch.from_numpy(reference.deviation))
    for name in names:
        if name not in nets:
            raise BundleInvalid(
                f"no head for {name}, and {bundle.path} has none: give one --head for each expert"
            )
        gate.heads[name] = nets[name]
    return gate


def _decoders(bundle: Bundle, files: Sequence[Path]) -> dict[str, MaskDecoder]:
    """Expert of the bundle -> its decoder, from checkpoints that say whose it is."""
    known = {expert.name for expert in bundle.manifest.experts}
    decoders: dict[str, MaskDecoder] = {}
    for path in files:
        checkpoint = load_checkpoint(path)
        check_shared(bundle, checkpoint.model, path)
        try:
            name = Expert.model_validate_json(checkpoint.metadata.get("expert", "")).name
        except ValidationError as error:
            raise CheckpointInvalid(
                f"{path} does not say which expert it is: it is not by sammoe train gate"
            ) from error
        if name not in known:
            raise BundleInvalid(f"{bundle.path} has no expert called {name}, as {path} is")
        decoders[name] = checkpoint.model.mask_decoder
    return decoders


def _whole_gate(bundle: Bundle, path: Path) -> Gate:
    found, names = load_gate(path), tuple(expert.name for expert in bundle.manifest.experts)
    if found.experts != names:
        raise CheckpointInvalid(
            f"{path} chooses between {', '.join(found.experts)}; the bundle has"
            f" {', '.join(names) or 'no experts'}, in this order: train it on this bundle"
        )
    if found.gate.dim != bundle.manifest.model.width:
        raise CheckpointInvalid(
            f"{path} reads embeddings of width {found.gate.dim}, the bundle's have"
            f" {bundle.manifest.model.width}: train it on this bundle"
        )
    return found.gate
