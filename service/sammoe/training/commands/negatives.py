"""``sammoe train negatives``: features of random prompts, which ship with a general model."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from sammoe.bundle import ReferenceFeatures, load_bundle
from sammoe.bundle.assembling import stale_folders
from sammoe.bundle.finding import find_bundle
from sammoe.bundle.options import folder_option
from sammoe.errors import DataSetInvalid
from sammoe.export.mixing import check_no_heads, with_reference
from sammoe.export.reading import load_networks
from sammoe.training.arguments import add_device, not_negative_int, positive_int
from sammoe.training.datasets import check_patients, load_datasets, split_patients
from sammoe.training.gates.bank import PromptBank
from sammoe.training.gates.prompts import Simulator
from sammoe.training.gates.sources import Cutter, Source
from sammoe.training.ranks import device_of

DETAIL = (
    "Needed once for a general model. No label is used, and the folders need have none: prompts are"
    " drawn anywhere in the training patients' scans of every data set given, as many in each. Give"
    " one data set for each kind of image that will be served (CT and MR, every body part), for a"
    " gate can leave alone only what it has seen. The new bundle is like the old one, with these"
    " prompts' features (a few MB) beside the general decoder; heads made for other features do not"
    " fit it."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--bundle", type=Path, help="of a general model (default: model_repo)")
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        metavar="DIR",
        help="folders of scans",
    )
    parser.add_argument("--out", type=folder_option, required=True, help="folder of the new bundle")
    parser.add_argument("--replace", action="store_true", help="replace the bundle in OUT")
    parser.add_argument("--count", type=positive_int, default=2000, help="prompts (default 2000)")
    parser.add_argument("--seed", type=not_negative_int, default=0, help="of the prompts")
    parser.add_argument(
        "--cache",
        type=folder_option,
        default=Path("runs/cache"),
        help="embeddings (default runs/cache)",
    )
    parser.add_argument("--threads", type=positive_int, default=1, help="for torch (default 1)")
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Write the bundle."""
    device = device_of(args.device)
    torch.set_num_threads(args.threads)
    bundle = load_bundle(find_bundle(args.bundle))
    check_no_heads(bundle)
    stale_folders(bundle, args.out, replace=args.replace)  # Refused now rather than after the work.
    sources = _sources(args.data)
    networks = load_networks(bundle)
    model = networks.model.requires_grad_(False).to(device)
    cutter = Cutter(model.image_encoder, bundle.manifest.window_rule(), args.cache, args.seed)
    simulator = Simulator(model, [], args.cache)
    share = -(-args.count // len(sources))
    banks: list[PromptBank] = []
    domain: list[int] = []
    for number, source in enumerate(sources):
        windows = cutter.random(source, "train", (), share)
        if not len(windows):
            raise DataSetInvalid(f"{source.dataset.root} shows no body to point at: leave it out")
        title = f"anything in {source.name}"
        banks.append(simulator.random(windows, count=share, seed=args.seed, title=title))
        domain += [number] * share
    reference = ReferenceFeatures.of(
        PromptBank.join(banks).features[:, : bundle.manifest.model.gate_features].numpy(),
        tuple(source.name for source in sources),
        np.array(domain),
    )
    with_reference(bundle, reference, out=args.out, replace=args.replace)
    print(
        f"{args.out}: {len(domain)} random prompts of {len(sources)} data sets;"
        f" next: sammoe train expert --bundle {args.out} --task ..."
    )


def _sources(roots: Sequence[Path]) -> list[Source]:
    """Data sets in the order given, whose labels are not asked for."""
    datasets = load_datasets([root.resolve() for root in roots], labelled=False)
    sources = [Source(dataset, split_patients(dataset)) for dataset in datasets]
    check_patients((source.dataset, source.split) for source in sources)
    return sources
