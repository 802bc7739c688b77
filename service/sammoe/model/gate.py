"""Which expert does a prompt ask for? The paper's gate, and one independent head per expert."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sammoe.model.config import SamMed3DConfig
from sammoe.model.layers import MlpBlock
from sammoe.model.transformer import CrossAttention

STANDARD_LIMIT = 8.0
"""Heads see standardised features clipped to this: the reference features end there too, and what
lies further out says no more than that it is far."""

HIDDEN = 32  # units of a head


class PaperGate(nn.Module):
    """The gating network of the SAM-Med3D-MoE paper (arXiv 2407.04938, section 2.2, figure 3).

    The prompt tokens attend to themselves, then to the image; an MLP updates them; the image
    attends to the result. A residual connection and a layer norm follow each of the four. Two
    fully connected layers and a softmax give the scores S in R^m.

    The paper leaves open, and here is: all attentions have the decoder's heads and full width C,
    the MLP has 2 C hidden units and ReLU; the image is the sum of image embedding and dense prompt
    embedding, so that a prior mask counts as prompt, with the dense position added to keys and
    queries, as in the mask decoder; the image tokens are averaged before the two fully connected
    layers (C -> C, ReLU, C -> outputs).

    Parameters
    ----------
    config
        Of the networks whose embeddings it reads.
    experts
        m.
    none_of_them
        False: m outputs, as in the paper, which must pick an expert even for a prompt that is
        none's. True: one more output, the last, for those.
    """

    def __init__(self, config: SamMed3DConfig, experts: int, *, none_of_them: bool) -> None:
        super().__init__()
        dim, heads = config.prompt_dim, config.decoder_heads
        self.dim = dim
        self.experts = experts
        self.self_attn = CrossAttention(dim, heads, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.prompt_to_image = CrossAttention(dim, heads, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MlpBlock(dim, 2 * dim, nn.ReLU())
        self.norm3 = nn.LayerNorm(dim)
        self.image_to_prompt = CrossAttention(dim, heads, dim)
        self.norm4 = nn.LayerNorm(dim)
        self.hidden = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, experts + int(none_of_them))

    def forward(
        self, image_embeddings: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> Tensor:
        """Logits [B, m] or [B, m + 1], for a cross-entropy over the experts.

        Parameters
        ----------
        image_embeddings
            [B, E, g, g, g]; the first C channels are read.
        image_pe
            [1, C, g, g, g].
        sparse, dense
            The prompt encoder's [B, N, C] (N >= 1) and [B, C', g, g, g].
        """
        image = (image_embeddings[:, : self.dim] + dense[:, : self.dim]).flatten(2).transpose(1, 2)
        position = image_pe.flatten(2).transpose(1, 2)
        prompt = self.norm1(sparse + self.self_attn(sparse, sparse, sparse))
        prompt = self.norm2(prompt + self.prompt_to_image(prompt, image + position, image))
        prompt = self.norm3(prompt + self.mlp(prompt))
        image = self.norm4(image + self.image_to_prompt(image + position, prompt, prompt))
        logits: Tensor = self.out(torch.relu(self.hidden(image.mean(1))))
        return logits

    def scores(self, logits: Tensor) -> Tensor:
        """Softmax over all outputs, of which the experts' [B, m] are returned."""
        return torch.softmax(logits, dim=-1)[:, : self.experts]


class ExpertHeads(nn.Module):
    """One small network per expert on the general decoder's features: "is this prompt mine?".

    The heads share nothing but the standardisation, whose constants belong to the general model
    and never change. So adding an expert leaves every other head's output bit-identical.

    Parameters
    ----------
    mean, deviation
        [F] of the features over the general model's prompts.
    names
        Experts, in the order of the outputs.
    hidden
        Units of each head's one hidden layer.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, mean: Tensor, deviation: Tensor, names: Sequence[str] = (), *, hidden: int = HIDDEN
    ) -> None:
        super().__init__()
        self.width = hidden
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.heads = nn.ModuleDict()
        for name in names:
            self.add(name)

    def add(self, name: str, head: nn.Sequential | None = None) -> nn.Sequential:
        """Put a trained head, or a fresh one for training, at the end of the outputs; return it."""
        if name in self.heads:
            raise ValueError(f"there is a head called {name!r}")
        added = head if head is not None else new_head(len(self.mean), self.width)
        self.heads[name] = added
        return added

    def standardise(self, features: Tensor) -> Tensor:
        """``gate_features`` [B, F] as the heads read them: within +-``STANDARD_LIMIT``.

        Heads of a bundle of before read fewer than there are now: the first ones.
        """
        if features.shape[1] > len(self.mean):
            features = features[:, : len(self.mean)]
        standard = (features - self.mean) / self.deviation
        return standard.clamp(-STANDARD_LIMIT, STANDARD_LIMIT)

    def forward(self, features: Tensor) -> Tensor:
        """``gate_features`` [B, F] -> logits [B, m]; each one's sigmoid is its expert's score."""
        standard = self.standardise(features)
        return torch.cat([head(standard) for head in self.heads.values()], dim=-1)


def new_head(features: int, hidden: int = HIDDEN) -> nn.Sequential:
    """A fresh head, features -> hidden -> 1."""
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, 1))
