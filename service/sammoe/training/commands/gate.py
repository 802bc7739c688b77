"""``sammoe train gate``: what chooses between the experts."""

import argparse
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import torch

from sammoe.bundle import Bundle, load_bundle
from sammoe.bundle.finding import find_bundle
from sammoe.bundle.locking import claimed
from sammoe.bundle.options import add_task_options, folder_option
from sammoe.errors import BundleInvalid, SettingsInvalid
from sammoe.export.reading import Networks, load_networks
from sammoe.model.checkpoint import save_checkpoint
from sammoe.model.heads_file import save_gate
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.training.arguments import add_device, not_negative_int, positive_float, positive_int
from sammoe.training.commands.head import run_folder, run_head, task_of
from sammoe.training.gates.heads import HeadRecipe
from sammoe.training.gates.new_gate import GateMaker
from sammoe.training.gates.paper import GateRecipe
from sammoe.training.gates.sources import read_together
from sammoe.training.ranks import device_of

DETAIL = (
    "With --mode heads (the default), one expert's head: 'is this prompt mine?', learnt from its"
    " own labelled data and from the random prompts that ship with the bundle; the other experts'"
    " heads stay as they are, bit by bit. With --mode joint or paper, one gate over all experts of"
    " the bundle, to be trained anew for each expert that is added: as in the paper (paper), or"
    " with an answer for 'none of them' that is learnt from the data sets' other classes (joint)."
    " An expert's own classes are known by their names, which sammoe train expert wrote down; of a"
    " checkpoint that you bring, say them."
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
        "--checkpoint", type=Path, help="a new expert, by sammoe train expert or your own (heads)"
    )
    which.add_argument("--expert", help="an expert of the bundle, for a new head (heads)")
    parser.add_argument(
        "--also-general",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="data sets whose other labelled classes are told apart from the expert's, by a quarter"
        " of --prompts each, which are made once for all heads of as many (heads)",
    )
    parser.add_argument(
        "--same-as",
        nargs="+",
        action="extend",
        default=[],
        metavar="DOMAIN",
        help="image domains of the bundle's random prompts that show the expert's structure, beside"
        " those called like its data sets: they are left out (heads)",
    )
    parser.add_argument(
        "--out", type=folder_option, help="folder (default: the checkpoint's, or runs/gate_NAME)"
    )
    about = parser.add_argument_group(
        "what the expert is for", "Checkpoints of sammoe train expert know it already."
    )
    add_task_options(about)
    parser.add_argument(
        "--prompts",
        type=positive_int,
        help="simulated prompts of each expert (default 500; joint, paper: 300)",
    )
    parser.add_argument(
        "--steps", type=positive_int, help=f"default {head.steps}; joint, paper: {gate.steps}"
    )
    parser.add_argument(
        "--lr", type=positive_float, help=f"default {head.lr}; joint, paper: {gate.lr}"
    )
    parser.add_argument("--seed", type=not_negative_int, default=0, help="of weights and batches")
    parser.add_argument(
        "--data-seed", type=not_negative_int, default=0, help="of the simulated prompts"
    )
    parser.add_argument(
        "--train-experts",
        action="store_true",
        help="let the fused expert's decoder learn, too, as one sentence of the paper has it",
    )
    parser.add_argument(
        "--cache",
        type=folder_option,
        default=Path("runs/cache"),
        help="embeddings (default runs/cache)",
    )
    parser.add_argument("--threads", type=positive_int, default=1, help="for torch (default 1)")
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Train as asked."""
    device = device_of(args.device)
    torch.set_num_threads(args.threads)
    bundle = load_bundle(find_bundle(args.bundle))
    networks = load_networks(bundle)
    networks.model.requires_grad_(False).to(device)
    for decoder in networks.experts.values():
        decoder.to(device)
    if args.mode == "heads":
        run_head(args, bundle, networks)
    else:
        _gate(args, bundle, networks)


def _gate(args: argparse.Namespace, bundle: Bundle, networks: Networks) -> None:
    one = (args.checkpoint, args.expert, args.also_general, args.same_as, *task_of(args))
    if any(one):
        raise SettingsInvalid(
            f"--mode {args.mode} trains one gate over all experts of the bundle, from --data alone:"
            " leave --checkpoint, --expert, --also-general, --same-as, --name, --class and"
            " --modality out"
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
    (sources,) = read_together(args.data)
    out = args.out or run_folder(args.mode)
    with claimed(out):
        made = maker.make(sources, none_of_them=args.mode == "joint")
        for kind, routed in made.routed.items():
            print(
                f"{kind}: right expert {routed.right:.2f}; above .5: {routed.passed:.2f} of theirs,"
                f" {routed.leaked:.2f} of others"
            )
        for name, digest in made.trained.frozen.items():
            print(f"unchanged: {name} {digest[:12]}")
        path = out / "gate.safetensors"
        names = [expert.name for expert in bundle.manifest.experts]
        save_gate(path, made.trained.gate, args.mode, names, networks.model.config)
        files = f"--gate {path}"
        if args.train_experts:
            learnt = _save_experts(out, bundle, networks, made.trained.experts)
            files += f" --checkpoint {' '.join(map(str, learnt))}"
        print(
            f"{path}: gate over {len(names)} experts;"
            f" next: sammoe bundle set-gate {bundle.path} {files} --out ..."
        )


def _save_experts(
    out: Path, bundle: Bundle, networks: Networks, decoders: Mapping[str, MaskDecoder]
) -> list[Path]:
    """Checkpoints as sammoe train expert writes them."""
    paths = []
    for expert in bundle.manifest.experts:
        model = deepcopy(networks.model)
        model.mask_decoder = decoders[expert.name]
        path = out / f"expert_{expert.name}.safetensors"
        save_checkpoint(path, model, {"expert": expert.model_dump_json()})
        print(f"{path}: its decoder learnt, too")
        paths.append(path)
    return paths
