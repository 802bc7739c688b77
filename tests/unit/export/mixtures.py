"""Small bundles with experts behind heads."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch

from sammoe.bundle import GENERAL_DECODER, Bundle, Expert, ReferenceFeatures, file_digest
from sammoe.bundle.assembling import assemble
from sammoe.bundle.features import FEATURES_FILE
from sammoe.export import export_bundle, load_networks
from sammoe.export.making import make
from sammoe.export.mixing import with_reference
from sammoe.export.parts import parts_of
from sammoe.export.rewriting import rewrite
from sammoe.model.gate import ExpertHeads, new_head
from sammoe.model.gate_features import TOKENS
from sammoe.model.heads_file import HeadFile
from sammoe.model.mask_decoder import MaskDecoder
from tests.unit.export import tiny

TOKENS_BEFORE = 5
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


def reference(seed: int = 0, count: int = 20, width: int = FEATURES) -> ReferenceFeatures:
    random = np.random.default_rng(seed)
    features = random.normal(1, 3, (count, width)).astype(np.float32)
    return ReferenceFeatures.of(features, ("CT", "MR"), random.integers(0, 2, count))


def head(bundle: Bundle, name: str, seed: int = 0) -> HeadFile:
    """As trained on the bundle's random prompts."""
    torch.manual_seed(seed)
    file = bundle.model_path("decoder_general").parents[1] / FEATURES_FILE
    width = bundle.manifest.model.gate_features
    return HeadFile(name, new_head(width, 4).eval(), file_digest(file))


def general(out: Path, *, half: bool = False) -> Bundle:
    """Without experts, with random prompts."""
    bundle = export_bundle(tiny.model(tiny.DETAILED), out, tiny.RELEASE, half=half)
    return with_reference(bundle, reference(), out=out)


def general_of_before(out: Path) -> Bundle:
    """The same as it was when gate features had five tokens."""
    plain = export_bundle(tiny.model(tiny.DETAILED), out, tiny.RELEASE)
    parts = parts_of(load_networks(plain).model, [], None, tokens=TOKENS_BEFORE)
    files = make(GENERAL_DECODER, parts[GENERAL_DECODER], half=False).files
    sizes = plain.manifest.model.model_copy(update={"gate_tokens": TOKENS_BEFORE})
    manifest = plain.manifest.model_copy(update={"model": sizes})
    bundle = assemble(plain, manifest, {GENERAL_DECODER: files}, out=out, replace=True)
    return with_reference(bundle, reference(width=sizes.gate_features), out=out)


def mixture(bundle: Bundle, out: Path, names: Sequence[str]) -> Bundle:
    """With experts and their heads."""
    networks = load_networks(bundle)
    constants = networks.reference
    assert constants is not None
    torch.manual_seed(1)
    gate = ExpertHeads(
        torch.from_numpy(constants.mean), torch.from_numpy(constants.deviation), names, hidden=4
    )
    networks.experts.update({name: decoder(seed) for seed, name in enumerate(names, 1)})
    experts = [expert(name) for name in names]
    return rewrite(bundle, networks, experts, gate, out=out, replace=False)
