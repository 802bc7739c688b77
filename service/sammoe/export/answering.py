"""A bundle's answers from its networks, for the self-test that goes into the manifest."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sammoe.bundle import ENCODER, GATE, GENERAL_DECODER, decoder_name
from sammoe.bundle.self_test import CasePrompt
from sammoe.export.graphs import HeadsGraph
from sammoe.export.tracing import outputs_of


class NetworkRunner:
    """Implements :class:`sammoe.bundle.self_test.Runner` with the graphs' modules by plain name."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._modules = modules

    def encode(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        """See the protocol."""
        embedding = outputs_of(self._modules[ENCODER], {"image": torch.from_numpy(image)})[0]
        rounded: NDArray[np.float16] = embedding.half().numpy()
        return rounded

    def logits(
        self, embedding: NDArray[np.float16], prompt: CasePrompt, decoder: str
    ) -> NDArray[np.float32]:
        """See the protocol."""
        feed = _feed(embedding, prompt)
        return _array(outputs_of(self._modules[decoder_name(decoder)], feed)[0])

    def scores(self, embedding: NDArray[np.float16], prompt: CasePrompt) -> NDArray[np.float32]:
        """See the protocol."""
        gate, feed = self._modules[GATE], _feed(embedding, prompt)
        if isinstance(gate, HeadsGraph):
            feed = {"gate_features": outputs_of(self._modules[GENERAL_DECODER], feed)[1]}
        return _array(outputs_of(gate, feed)[0])


def _feed(embedding: NDArray[np.float16], prompt: CasePrompt) -> dict[str, Tensor]:
    arrays = (embedding, prompt.coords, prompt.labels, prompt.mask)
    names = ("embedding", "coords", "labels", "mask")
    return {name: torch.from_numpy(array) for name, array in zip(names, arrays, strict=True)}


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.numpy()
    return array
