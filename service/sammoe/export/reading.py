"""Bundle -> networks: the weights are in the graphs, under their names in the modules."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from sammoe.bundle import (
    ENCODER,
    GATE,
    GENERAL_DECODER,
    Bundle,
    ReferenceFeatures,
    decoder_name,
    load_reference,
)
from sammoe.errors import BundleInvalid
from sammoe.export.tracing import HALF_SUFFIX, WEIGHTS
from sammoe.model import SamMed3D, SamMed3DConfig, build_sam_med3d
from sammoe.model.gate import ExpertHeads, PaperGate, new_head
from sammoe.model.mask_decoder import MaskDecoder

_Module = TypeVar("_Module", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class State:
    """What a graph holds of its module.

    Attributes
    ----------
    tensors
        By name, float32.
    unused
        Names of those that the graph never reads and therefore lacks.
    half
        Whether the graph stores float16.
    """

    tensors: dict[str, Tensor]
    unused: frozenset[str]
    half: bool

    def within(self, prefix: str) -> "State":
        """The part under ``prefix``, named without it."""
        return State(
            {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)},
            frozenset(k.removeprefix(prefix) for k in self.unused if k.startswith(prefix)),
            self.half,
        )


@dataclass(frozen=True, eq=False)
class Networks:
    """What a bundle's graphs compute, as modules: eval mode, float32, on the CPU.

    Attributes
    ----------
    model
        Encoder, prompt encoder and general decoder.
    experts
        Name -> decoder, in the manifest's order.
    gate
        Of the form that ``routing.gate`` names; ``None`` without experts.
    reference
        The random prompts' features that ship with the general decoder, if they do.
    """

    model: SamMed3D
    experts: dict[str, MaskDecoder]
    gate: ExpertHeads | PaperGate | None
    reference: ReferenceFeatures | None


def load_networks(bundle: Bundle) -> Networks:
    """Read every network back.

    What no graph uses (the IoU head, the masks of the multimask output) is as freshly initialised
    with seed 0.

    Raises
    ------
    BundleInvalid
        The graphs do not hold the networks that the manifest describes, or were exported by a
        version that gave their weights no names. The detail names the file.
    """
    config = network_config(bundle)
    general = read_state(bundle, GENERAL_DECODER)
    model = _seeded(lambda: build_sam_med3d(config))
    _fill(bundle, ENCODER, model.image_encoder, read_state(bundle, ENCODER))
    _fill(bundle, GENERAL_DECODER, model.prompt_encoder, general.within("prompt_encoder."))
    _fill(bundle, GENERAL_DECODER, model.mask_decoder, general.within("mask_decoder."))
    names = [expert.name for expert in bundle.manifest.experts]
    experts = {name: _read_decoder(bundle, decoder_name(name), config) for name in names}
    gate = read_gate(bundle) if names else None
    return Networks(model.eval(), experts, gate, load_reference(bundle))


def network_config(bundle: Bundle) -> SamMed3DConfig:
    """Sizes of a bundle's networks.

    Raises
    ------
    BundleInvalid
        The manifest's architecture is none of this program's.
    """
    try:
        return SamMed3DConfig.from_dict(dict(bundle.manifest.model.architecture))
    except (KeyError, TypeError, ValueError) as error:
        raise BundleInvalid(
            f"{bundle.path}: the manifest's architecture is not one that can be built: {error}"
        ) from error


def read_gate(bundle: Bundle) -> ExpertHeads | PaperGate:
    """The gate of a bundle that has experts; raises as :func:`load_networks` does."""
    state = read_state(bundle, GATE)
    names = [expert.name for expert in bundle.manifest.experts]
    mode = bundle.manifest.routing.gate
    if mode != "heads":
        config = network_config(bundle)
        gate = _seeded(lambda: PaperGate(config, len(names), none_of_them=mode == "joint"))
        return _fill(bundle, GATE, gate, state.within("gate."))
    state = state.within("heads.")
    tensors = state.tensors
    layers = {name: tensors.get(f"heads.{name}.0.weight") for name in names}
    missing = [name for name, layer in layers.items() if layer is None]
    if missing:
        raise BundleInvalid(f"{bundle.model_path(GATE)} holds no head for {', '.join(missing)}")
    heads = ExpertHeads(tensors["mean"], tensors["deviation"])
    for name, layer in layers.items():
        assert layer is not None
        hidden, features = layer.shape
        heads.add(name, _seeded(partial(new_head, features, hidden)))
    return _fill(bundle, GATE, heads, state)


def read_state(bundle: Bundle, plain: str) -> State:
    """Every tensor that one graph uses, float32, by its name in the graph's module.

    Raises
    ------
    BundleInvalid
        The graph can not be read, or its weights have no names.
    """
    path = bundle.model_path(plain)
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's parser has no public base for its errors
        raise BundleInvalid(f"{path} is no ONNX graph that can be read") from error
    properties = {entry.key: entry.value for entry in model.metadata_props}
    if WEIGHTS not in properties:
        raise BundleInvalid(
            f"{path} was exported without the names of its weights: export the bundle again from"
            " its checkpoint (sammoe export)"
        )
    tensors: dict[str, Tensor] = {}
    half = False
    for tensor in model.graph.initializer:
        half = half or tensor.name.endswith(HALF_SUFFIX)
        values = torch.from_numpy(numpy_helper.to_array(tensor).copy())
        tensors[tensor.name.removesuffix(HALF_SUFFIX)] = values.float()
    rest = json.loads(properties[WEIGHTS])
    tensors |= {name: tensors[stored].clone() for name, stored in rest["aliases"].items()}
    return State(tensors, frozenset(rest["unused"]), half)


def _read_decoder(bundle: Bundle, plain: str, config: SamMed3DConfig) -> MaskDecoder:
    state = read_state(bundle, plain).within("mask_decoder.")
    return _fill(bundle, plain, _seeded(lambda: MaskDecoder(config)), state)


def _seeded(build: Callable[[], _Module]) -> _Module:
    """A module with the initial weights of seed 0; the caller's random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def _fill(bundle: Bundle, plain: str, module: _Module, state: State) -> _Module:
    try:
        found = module.load_state_dict(state.tensors, strict=False)
        odd = [*found.unexpected_keys, *sorted({*found.missing_keys} - state.unused)]
    except RuntimeError as error:  # a shape that does not fit
        odd = [str(error).splitlines()[-1].strip()]
    if odd:
        raise BundleInvalid(
            f"{bundle.model_path(plain)} does not fit the network that the manifest describes:"
            f" {odd[0]}"
        )
    return module.eval()
