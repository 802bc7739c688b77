"""Small bundles with experts behind heads."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch

from sammoe.bundle import Bundle, Expert, ReferenceFeatures, file_digest
from sammoe.bundle.features import FEATURES_FILE
from sammoe.export import export_bundle, load_networks
from sammoe.export.mixing import with_reference
from sammoe.export.rewriting import rewrite
from sammoe.model.gate import ExpertHeads, new_head
from sammoe.model.gate_features import TOKENS
from sammoe.model.heads_file import HeadFile
from sammoe.model.mask_decoder import MaskDecoder
from tests.unit.export import tiny

FEATURES = TOKENS * tiny.DETAILED.prompt_dim


def expert(name: str) -> Expert:
    return Expert(
        name=name,
        label=name,
        modalities=("CT",),
        training_data="none",
        licence="Apache-2.0",
        classes=(name,),
    )


@cache
def decoder(seed: int) -> MaskDecoder:
    return tiny.model(tiny.DETAILED, seed).mask_decoder


def reference(seed: int = 0, count: int = 20) -> ReferenceFeatures:
    random = np.random.default_rng(seed)
    features = random.normal(1, 3, (count, FEATURES)).astype(np.float32)
    return ReferenceFeatures.of(features, ("CT", "MR"), random.integers(0, 2, count))


def head(bundle: Bundle, name: str, seed: int = 0) -> HeadFile:
    """As trained on the bundle's random prompts."""
    torch.manual_seed(seed)
    file = bundle.model_path("decoder_general").parents[1] / FEATURES_FILE
    return HeadFile(name, new_head(FEATURES, 4).eval(), file_digest(file))


def general(out: Path, *, half: bool = False) -> Bundle:
    """Without experts, with random prompts."""
    bundle = export_bundle(tiny.model(tiny.DETAILED), out, tiny.RELEASE, half=half)
    return with_reference(bundle, reference(), out=out)


def mixture(bundle: Bundle, out: Path, names: Sequence[str]) -> Bundle:
    """With experts and their heads."""
    networks, constants = load_networks(bundle), reference()
    torch.manual_seed(1)
    gate = ExpertHeads(
        torch.from_numpy(constants.mean), torch.from_numpy(constants.deviation), names, hidden=4
    )
    networks.experts.update({name: decoder(seed) for seed, name in enumerate(names, 1)})
    experts = [expert(name) for name in names]
    return rewrite(bundle, networks, experts, gate, out=out, replace=False)
