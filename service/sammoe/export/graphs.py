"""What becomes an ONNX graph: the networks behind the inputs that every engine feeds."""

import torch
from torch import Tensor, nn

from sammoe.model import SamMed3DConfig
from sammoe.model.gate import ExpertHeads, PaperGate
from sammoe.model.gate_features import TOKENS, gate_features
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.model.prompt_encoder import PromptEncoder


class _PromptedGraph(nn.Module):
    """A graph with its own copy of the prompt encoder and the dense position as a constant."""

    image_pe: Tensor

    def __init__(self, prompt_encoder: PromptEncoder) -> None:
        super().__init__()
        self.prompt_encoder = prompt_encoder
        self.register_buffer("image_pe", prompt_encoder.get_dense_pe().detach())


class DecoderGraph(_PromptedGraph):
    """``embedding`` [B, E, g, g, g] float16, ``coords`` [B, N, 3] float32 (voxel index in the
    window), ``labels`` [B, N] int32 (1 positive, 0 negative, -1 padding, 2 / 3 box corners) and
    ``mask`` [B, 1, 4g, 4g, 4g] float32 -> ``logits`` [B, 1, 4g, 4g, 4g] float32 and, for the
    general decoder, ``gate_features`` [B, F] float32: the first ``tokens`` of them. N >= 1.
    """

    def __init__(
        self,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        *,
        features: bool,
        tokens: int = TOKENS,
    ) -> None:
        super().__init__(prompt_encoder)
        self.mask_decoder = mask_decoder
        self.features = features
        self.tokens = tokens

    def forward(
        self, embedding: Tensor, coords: Tensor, labels: Tensor, mask: Tensor
    ) -> Tensor | tuple[Tensor, Tensor]:
        """See the class."""
        image = embedding.float()
        sparse, dense = self.prompt_encoder.embed_prompt(coords, labels, mask)
        state = self.mask_decoder.decode_tokens(image, self.image_pe, sparse, dense)
        logits = self.mask_decoder.paint(state, image, dense, slice(0, 1))
        if not self.features:
            return logits
        config = self.mask_decoder.config
        told = gate_features(state, logits, coords, labels, config)
        return logits, told if self.tokens == TOKENS else told[:, : self.tokens * config.prompt_dim]


class PaperGateGraph(_PromptedGraph):
    """The decoders' inputs -> ``scores`` [B, m] float32: the softmax's experts."""

    def __init__(self, prompt_encoder: PromptEncoder, gate: PaperGate) -> None:
        super().__init__(prompt_encoder)
        self.gate = gate

    def forward(self, embedding: Tensor, coords: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """See the class."""
        sparse, dense = self.prompt_encoder.embed_prompt(coords, labels, mask)
        return self.gate.scores(self.gate(embedding.float(), self.image_pe, sparse, dense))


class HeadsGraph(nn.Module):
    """``gate_features`` [B, F] float32 -> ``scores`` [B, m] float32, one sigmoid per expert."""

    def __init__(self, heads: ExpertHeads) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, gate_features: Tensor) -> Tensor:
        """See the class."""
        return torch.sigmoid(self.heads(gate_features))


def example_prompt(
    config: SamMed3DConfig, batch: int, count: int, *, box: bool, prior: bool, seed: int
) -> dict[str, Tensor]:
    """Random inputs of a decoder graph by name: ``count`` tokens, of which the last is padding or,
    with ``box``, the last two are its corners; ``prior`` fills the mask, else it is zeros."""
    generator = torch.Generator().manual_seed(seed)
    side, g, cells = config.image_size, config.grid, config.cells
    coords = torch.rand(batch, count, 3, generator=generator) * (side - 1)
    labels = torch.randint(0, 2, (batch, count), generator=generator, dtype=torch.int32)
    if box:
        coords[:, -2:] = coords[:, -2:].sort(dim=1).values
        labels[:, -2:] = torch.tensor([2, 3], dtype=torch.int32)
    else:
        coords[:, -1] = 0
        labels[:, -1] = -1
    embedding = torch.randn(batch, config.embedding_channels, g, g, g, generator=generator)
    mask = 4 * torch.randn(batch, 1, cells, cells, cells, generator=generator)
    return {
        "embedding": embedding.half(),
        "coords": coords,
        "labels": labels,
        "mask": mask if prior else torch.zeros_like(mask),
    }
