"""The graphs that a bundle is made of: module, inputs to check with, and Triton's description."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sammoe.bundle import (
    ENCODER,
    GATE,
    GENERAL_DECODER,
    Expert,
    TensorSpec,
    config_pbtxt,
    decoder_name,
)
from sammoe.errors import BundleInvalid
from sammoe.export.graphs import DecoderGraph, HeadsGraph, PaperGateGraph, example_prompt
from sammoe.model import SamMed3D, SamMed3DConfig
from sammoe.model.gate import ExpertHeads, PaperGate
from sammoe.model.gate_features import TOKENS
from sammoe.model.mask_decoder import MaskDecoder

Gate = ExpertHeads | PaperGate
GateMode = Literal["heads", "joint", "paper"]
Example = Mapping[str, Tensor]

# Triton's copies per device, and ONNX Runtime's threads within one operator of each.
_ENCODERS, _DECODERS, _THREADS = 1, 2, 2
_LONGEST_CHECK = 7  # prompt tokens


@dataclass(frozen=True)
class ExpertDecoder:
    """A task's decoder and what the manifest says of it; the other networks are the bundle's."""

    expert: Expert
    decoder: MaskDecoder


@dataclass(frozen=True)
class Part:
    """One graph to be.

    ``examples`` are named random inputs with 1 and 2 items; the graph is traced with the last and
    compared on all. ``instances`` is how many copies Triton may run at once.
    """

    module: nn.Module
    examples: Sequence[Example]
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    instances: int

    def config(self) -> str:
        """Its ``config.pbtxt``."""
        return config_pbtxt(self.inputs, self.outputs, instances=self.instances, threads=_THREADS)


def parts_of(
    model: SamMed3D, experts: Sequence[ExpertDecoder], gate: Gate | None, *, tokens: int = TOKENS
) -> dict[str, Part]:
    """Every part of a bundle by its plain name.

    Parameters
    ----------
    tokens
        Of the gate's features: fewer in a bundle of before.

    Raises
    ------
    BundleInvalid
        There are experts without a gate or the reverse, or the gate's scores are not theirs.
    """
    names = [expert.expert.name for expert in experts]
    if gate is None and names:
        raise BundleInvalid("experts need a gate that chooses between them")
    graph = DecoderGraph(model.prompt_encoder, model.mask_decoder, features=True, tokens=tokens)
    parts = {ENCODER: _encoder(model), GENERAL_DECODER: _decoder(model, graph)}
    for expert in experts:
        parts[decoder_name(expert.expert.name)] = expert_part(model, expert.decoder)
    if gate is not None:
        parts[GATE] = gate_part(model, gate, names)
    return parts


def expert_part(model: SamMed3D, decoder: MaskDecoder) -> Part:
    """A task's decoder behind the prompt encoder of the others."""
    return _decoder(model, DecoderGraph(model.prompt_encoder, decoder, features=False))


def gate_part(model: SamMed3D, gate: Gate, names: Sequence[str]) -> Part:
    """The gate between these experts.

    Raises
    ------
    BundleInvalid
        Its scores are not theirs.
    """
    found = list(gate.heads) if isinstance(gate, ExpertHeads) else [""] * gate.experts
    if len(found) != len(names) or (isinstance(gate, ExpertHeads) and found != list(names)):
        raise BundleInvalid(f"the gate's scores do not belong to the experts {list(names)}")
    outputs = [TensorSpec("scores", "TYPE_FP32", (len(names),))]
    config = model.config
    if isinstance(gate, PaperGate):
        graph = PaperGateGraph(model.prompt_encoder, gate)
        return Part(graph, prompt_examples(config), _prompt_specs(config), outputs, _DECODERS)
    width = len(gate.mean)
    generator = torch.Generator().manual_seed(0)
    examples = [{"gate_features": torch.randn(b, width, generator=generator)} for b in (1, 2)]
    inputs = [TensorSpec("gate_features", "TYPE_FP32", (width,))]
    return Part(HeadsGraph(gate), examples, inputs, outputs, _DECODERS)


def gate_mode(gate: Gate) -> GateMode:
    """What ``routing.gate`` calls a gate of this form."""
    if isinstance(gate, ExpertHeads):
        return "heads"
    return "joint" if gate.out.out_features > gate.experts else "paper"


def _encoder(model: SamMed3D) -> Part:
    config = model.config
    side, grid = config.image_size, (config.grid,) * 3
    generator = torch.Generator().manual_seed(0)
    return Part(
        model.image_encoder,
        [{"image": torch.randn(b, 1, side, side, side, generator=generator)} for b in (1, 2)],
        [TensorSpec("image", "TYPE_FP32", (1, side, side, side))],
        [TensorSpec("embedding", "TYPE_FP16", (config.embedding_channels, *grid))],
        _ENCODERS,
    )


def _decoder(model: SamMed3D, graph: DecoderGraph) -> Part:
    config = model.config
    outputs = [TensorSpec("logits", "TYPE_FP32", (1, *(config.cells,) * 3))]
    if graph.features:
        outputs.append(
            TensorSpec("gate_features", "TYPE_FP32", (graph.tokens * config.prompt_dim,))
        )
    return Part(graph, prompt_examples(config), _prompt_specs(config), outputs, _DECODERS)


def _prompt_specs(config: SamMed3DConfig) -> list[TensorSpec]:
    grid, cells = (config.grid,) * 3, (config.cells,) * 3
    return [
        TensorSpec("embedding", "TYPE_FP16", (config.embedding_channels, *grid)),
        TensorSpec("coords", "TYPE_FP32", (-1, 3), warm_up=(2, 3)),
        TensorSpec("labels", "TYPE_INT32", (-1,), warm_up=(2,)),
        TensorSpec("mask", "TYPE_FP32", (1, *cells)),
    ]


def prompt_examples(config: SamMed3DConfig) -> list[Example]:
    """1 to 7 tokens, 1 and 2 prompts, with and without box corners and prior masks."""
    return [
        example_prompt(
            config,
            batch,
            count,
            box=config.box_embeddings and count % 2 == 0,
            prior=(count + batch) % 3 > 0,
            seed=count,
        )
        for batch in (1, 2)
        for count in range(1, _LONGEST_CHECK + 1)
    ]
