"""``sammoe train gate``: what chooses between the experts."""

import argparse
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import torch
from pydantic import ValidationError

from sammoe.bundle import (
    FEATURES_FILE,
    GENERAL_DECODER,
    Bundle,
    Expert,
    load_bundle,
)
from sammoe.bundle.finding import find_bundle
from sammoe.errors import BundleInvalid, CheckpointInvalid, SettingsInvalid
from sammoe.export.reading import Networks, load_networks
from sammoe.model.checkpoint import load_checkpoint, save_checkpoint
from sammoe.model.heads_file import save_gate, save_head
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.training.datasets import check_patients
from sammoe.training.gates.heads import HeadRecipe
from sammoe.training.gates.new_gate import GateMaker
from sammoe.training.gates.new_head import HeadMaker
from sammoe.training.gates.paper import GateRecipe
from sammoe.training.gates.sources import Source, read_sources

DETAIL = (
    "With --mode heads (the default), one expert's head: 'is this prompt mine?', learnt from its"
    " own labelled data and from the random prompts that ship with the bundle; the other experts'"
    " heads stay as they are, bit by bit. With --mode joint or paper, one gate over all experts of"
    " the bundle, to be trained anew for each expert that is added: as in the paper (paper), or"
    " with an answer for 'none of them' that is learnt from the data sets' other classes (joint)."
    " An expert's own classes are known by their names, which sammoe train expert wrote down."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    head, gate = HeadRecipe(), GateRecipe()
    parser.add_argument("--mode", choices=("heads", "joint", "paper"), default="heads")
    parser.add_argument(
        "--bundle", type=Path, help="general model, and experts (default: model_repo)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        metavar="DIR",
        help="labelled data sets",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--checkpoint", type=Path, help="a new expert, by sammoe train expert (heads)"
    )
    which.add_argument("--expert", help="an expert of the bundle, for a new head (heads)")
    parser.add_argument(
        "--also-general",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="data sets whose other labelled classes are told apart from the expert's (heads)",
    )
    parser.add_argument(
        "--out", type=Path, help="folder (default: the checkpoint's, or runs/gate_NAME)"
    )
    parser.add_argument(
        "--prompts",
        type=int,
        help="simulated prompts of each expert (default 500; joint, paper: 300)",
    )
    parser.add_argument(
        "--steps", type=int, help=f"default {head.steps}; joint, paper: {gate.steps}"
    )
    parser.add_argument("--lr", type=float, help=f"default {head.lr}; joint, paper: {gate.lr}")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches")
    parser.add_argument("--data-seed", type=int, default=0, help="of the simulated prompts")
    parser.add_argument(
        "--train-experts",
        action="store_true",
        help="let the fused expert's decoder learn, too, as one sentence of the paper has it",
    )
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/cache"), help="embeddings (default runs/cache)"
    )
    parser.add_argument("--threads", type=int, default=1, help="for torch (default 1)")


def run(args: argparse.Namespace) -> None:
    """Train as asked."""
    torch.set_num_threads(args.threads)
    bundle = load_bundle(find_bundle(args.bundle))
    networks = load_networks(bundle)
    networks.model.requires_grad_(False)
    if args.mode == "heads":
        _head(args, bundle, networks)
    else:
        _gate(args, bundle, networks)


def _head(args: argparse.Namespace, bundle: Bundle, networks: Networks) -> None:
    if args.train_experts:
        raise SettingsInvalid("--train-experts goes with --mode joint or paper")
    if networks.reference is None:
        raise BundleInvalid(
            f"{bundle.path} has no random prompts for heads to learn from: make a bundle with"
            f" sammoe train negatives --bundle {bundle.path} --data ..."
        )
    expert, decoder = _expert(args, bundle, networks)
    default = HeadRecipe()
    recipe = HeadRecipe(steps=args.steps or default.steps, lr=args.lr or default.lr, seed=args.seed)
    maker = HeadMaker(
        networks.model,
        networks.reference,
        bundle.manifest.window_rule(),
        args.prompts or 500,
        recipe,
        args.cache,
        args.data_seed,
    )
    made = maker.make(expert, decoder, *_sources(args))
    for kind, look in made.looks.items():
        print(
            f"{kind}: AUROC {look.auroc:.3f}, recall at .5 {look.recall:.2f},"
            f" false alarms {look.false_alarms:.2f}"
        )
    out = args.out or (args.checkpoint.parent if args.checkpoint else _run_folder(expert.name))
    out.mkdir(parents=True, exist_ok=True)
    path = out / "head.safetensors"
    features = f"{bundle.manifest.models[GENERAL_DECODER]}/{FEATURES_FILE}"
    save_head(path, expert.name, made.net, bundle.manifest.files[features])
    checkpoint = args.checkpoint or "EXPERT.safetensors"
    print(
        f"{path}: head of {expert.name}; next: sammoe bundle add-expert {bundle.path}"
        f" --checkpoint {checkpoint} --head {path} --out ..."
    )


def _gate(args: argparse.Namespace, bundle: Bundle, networks: Networks) -> None:
    if args.checkpoint or args.expert or args.also_general:
        raise SettingsInvalid(
            f"--mode {args.mode} trains one gate over all experts of the bundle, from --data alone:"
            " leave --checkpoint, --expert and --also-general out"
        )
    if not networks.experts:
        raise BundleInvalid(f"{bundle.path} has no experts to choose between")
    default = GateRecipe()
    recipe = GateRecipe(
        steps=args.steps or default.steps,
        lr=args.lr or default.lr,
        fusion=bundle.manifest.routing.fusion,
        train_experts=args.train_experts,
        seed=args.seed,
    )
    maker = GateMaker(
        networks.model,
        bundle.manifest.experts,
        networks.experts,
        bundle.manifest.window_rule(),
        args.prompts or 300,
        recipe,
        args.cache,
        args.data_seed,
    )
    made = maker.make(_sources(args)[0], none_of_them=args.mode == "joint")
    for kind, routed in made.routed.items():
        print(
            f"{kind}: right expert {routed.right:.2f}; above .5: {routed.passed:.2f} of theirs,"
            f" {routed.leaked:.2f} of others"
        )
    for name, digest in made.trained.frozen.items():
        print(f"unchanged: {name} {digest[:12]}")
    out = args.out or _run_folder(args.mode)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "gate.safetensors"
    names = [expert.name for expert in bundle.manifest.experts]
    save_gate(path, made.trained.gate, args.mode, names, networks.model.config)
    if args.train_experts:
        _save_experts(out, bundle, networks, made.trained.experts)
    print(
        f"{path}: gate over {len(names)} experts;"
        f" next: sammoe bundle set-gate {bundle.path} --gate {path} --out ..."
    )


def _sources(args: argparse.Namespace) -> tuple[list[Source], list[Source]]:
    """Of ``--data``, and of ``--also-general``."""
    own, general = read_sources(args.data), read_sources(args.also_general)
    check_patients((source.dataset, source.split) for source in (*own, *general))
    return own, general


def _expert(
    args: argparse.Namespace, bundle: Bundle, networks: Networks
) -> tuple[Expert, MaskDecoder]:
    """Whose head is wanted, and the decoder."""
    if args.checkpoint:
        checkpoint = load_checkpoint(args.checkpoint)
        if checkpoint.model.config != networks.model.config:
            raise CheckpointInvalid(
                f"{args.checkpoint} is of another architecture than {bundle.path}"
            )
        try:
            expert = Expert.model_validate_json(checkpoint.metadata.get("expert", ""))
        except ValidationError as error:
            raise CheckpointInvalid(
                f"{args.checkpoint} does not say what it segments: it is not by sammoe train expert"
            ) from error
        return expert, checkpoint.model.mask_decoder.requires_grad_(False)
    experts = {expert.name: expert for expert in bundle.manifest.experts}
    if args.expert is None:
        raise SettingsInvalid("say whose head to train: --checkpoint FILE or --expert NAME")
    if args.expert not in experts:
        known = ", ".join(experts) or "none"
        raise SettingsInvalid(f"{bundle.path} has no expert {args.expert!r}; it has: {known}")
    return experts[args.expert], networks.experts[args.expert]


def _save_experts(
    out: Path, bundle: Bundle, networks: Networks, decoders: Mapping[str, MaskDecoder]
) -> None:
    """Checkpoints as sammoe train expert writes them."""
    for expert in bundle.manifest.experts:
        model = deepcopy(networks.model)
        model.mask_decoder = decoders[expert.name]
        path = out / f"expert_{expert.name}.safetensors"
        save_checkpoint(path, model, {"expert": expert.model_dump_json()})
        print(f"{path}: its decoder learnt, too")


def _run_folder(name: str) -> Path:
    return Path("runs") / f"gate_{name}"
