"""What ``sammoe bundle add-expert``, ``remove-expert`` and ``set-gate`` do."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from sammoe.bundle import Bundle, Expert, load_bundle, load_reference
from sammoe.bundle.finding import find_bundle
from sammoe.errors import BundleInvalid, CheckpointInvalid
from sammoe.export.mixing import check_head, with_expert, with_gate, without_expert
from sammoe.export.parts import Gate
from sammoe.export.sharing import check_shared
from sammoe.model.checkpoint import load_checkpoint
from sammoe.model.gate import ExpertHeads
from sammoe.model.heads_file import load_gate, load_head


def add_expert(args: argparse.Namespace) -> Bundle:
    """The bundle with the checkpoint's decoder as its last expert."""
    bundle = load_bundle(find_bundle(args.folder))
    head = load_head(args.head)
    checkpoint = load_checkpoint(args.checkpoint)
    check_shared(bundle, checkpoint.model, args.checkpoint)
    expert = describe(args, checkpoint.metadata)
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
    return with_gate(bundle, gate, out=args.out, replace=args.replace)


def describe(args: argparse.Namespace, metadata: Mapping[str, str]) -> Expert:
    """What the manifest will say of an expert: the command line's words, else the checkpoint's.

    Raises
    ------
    CheckpointInvalid
        Something is missing or malformed; the detail says which option to give.
    """
    given = {
        "name": args.name,
        "label": args.label,
        "modalities": args.modality,
        "codes": args.code,
        "classes": args.classes,
        "training_data": args.training_data,
        "licence": args.licence,
    }
    words = {name: value for name, value in given.items() if value}
    try:
        if "expert" in metadata:
            known = Expert.model_validate_json(metadata["expert"]).model_dump()
        else:
            known = _unknown(args)
        return Expert.model_validate(known | words)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "/".join(str(part) for part in first["loc"]) or "description"
        raise CheckpointInvalid(
            f"{args.checkpoint}: the expert's {place} is wrong: {first['msg']}"
        ) from error


def _unknown(args: argparse.Namespace) -> dict[str, Any]:
    """For a checkpoint that says nothing of its task."""
    missing = [
        f"--{option}"
        for option, value in (("name", args.name), ("modality", args.modality))
        if not value
    ]
    if missing:
        raise CheckpointInvalid(
            f"{args.checkpoint} does not say what it is for: give {' and '.join(missing)}"
        )
    return {
        "label": args.name.replace("_", " "),
        "classes": (args.name,),
        "training_data": "not stated",
        "licence": "not stated",
    }


def _heads(bundle: Bundle, files: list[Path]) -> Gate:
    """One head for each expert, put into the experts' order."""
    reference = load_reference(bundle)
    heads = {head.name: head for head in map(load_head, files)}
    for name, head in heads.items():
        check_head(bundle, name, head)
    assert reference is not None
    gate = ExpertHeads(torch.from_numpy(reference.mean), torch.from_numpy(reference.deviation))
    for expert in bundle.manifest.experts:
        if expert.name not in heads:
            raise BundleInvalid(f"no head for {expert.name}: give one --head for each expert")
        gate.add(expert.name, heads.pop(expert.name).net)
    if heads:
        raise BundleInvalid(f"{bundle.path} has no expert called {', '.join(heads)}")
    return gate


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
