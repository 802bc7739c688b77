"""The click loop: prompt, answer, correct, answer again; differentiable at every answer."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sammoe.engine.selector import LOGIT_LIMIT
from sammoe.model.build import SamMed3D
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.model.prompt_encoder import BOX_FIRST, BOX_LAST, PADDING, POSITIVE
from sammoe.training.clicks import corrective_clicks
from sammoe.training.mapped import as_fed
from sammoe.training.mixture import Batch


@dataclass(frozen=True)
class Simulation:
    """How users are simulated.

    Parameters
    ----------
    clicks
        Answers per prompt.
    boxes
        Share of prompts that start with a box (jittered half of the time) in place of a click,
        unless the batch says which do.
    priors
        Share of prompts that start from a spoilt mask, as one that a user brought along.
    others
        Share of answers that are shown, corrected and fed back as another decoder's, where there
        is another: in a mixture an expert may be asked for the first time after some clicks.
    """

    clicks: int = 3
    boxes: float = 0.4
    priors: float = 0.1
    others: float = 0.0


def run(
    model: SamMed3D,
    embedding: Tensor,
    batch: Batch,
    simulation: Simulation,
    generator: torch.Generator,
    other: MaskDecoder | None = None,
) -> Iterator[Tensor]:
    """Yield the low-res logits [B, L, L, L] of every answer in turn.

    Prompts are fed as serving feeds them: all clicks so far, the clipped logits of the answer
    before, zeros at click 1 unless there is a prior, a padding token exactly when there is no box.
    Either way a prompt has one token more than answers, so that both kinds share a batch. Models
    without box embeddings get a box as serving maps it: a click and, unless there is one, a prior.
    The generator is the CPU's, wherever the model is.
    """
    size = model.config.image_size
    coords, labels = _first_tokens(batch, simulation, size, generator)
    prior = _first_prior(batch.targets, simulation, generator)
    coords, labels, prior = as_fed(coords, labels, prior, model.config)
    dense_pe = model.prompt_encoder.get_dense_pe()
    for answer in range(simulation.clicks):
        sparse, dense = model.prompt_encoder.embed_prompt(coords, labels, prior[:, None])
        inputs = (embedding, dense_pe, sparse, dense)
        logits = model.mask_decoder(*inputs, multimask_output=False)[0][:, 0].float()
        yield logits
        if answer + 1 < simulation.clicks:
            shown = logits.detach()
            if other is not None:
                shown = _partly(shown, other, inputs, simulation.others, generator)
            at, label = corrective_clicks(shown, batch.targets, size, generator)
            # New clicks go before the last token, which is the padding or the box's last corner.
            coords = torch.cat([coords[:, :-1], at[:, None], coords[:, -1:]], dim=1)
            labels = torch.cat([labels[:, :-1], label[:, None], labels[:, -1:]], dim=1)
            prior = shown.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)


@torch.no_grad()
def _partly(
    shown: Tensor,
    other: MaskDecoder,
    inputs: tuple[Tensor, Tensor, Tensor, Tensor],
    share: float,
    generator: torch.Generator,
) -> Tensor:
    """Logits [B, L, L, L], a share of them replaced by another decoder's for the same inputs."""
    rows = torch.nonzero(torch.rand(len(shown), generator=generator) < share)[:, 0]
    if not len(rows):
        return shown
    embedding, dense_pe, sparse, dense = inputs
    rows = rows.to(shown.device)
    images = embedding[rows // (len(shown) // len(embedding))]
    theirs = other(images, dense_pe, sparse[rows], dense[rows], multimask_output=False)[0]
    return shown.index_copy(0, rows, theirs[:, 0].float())


def _first_tokens(
    batch: Batch, simulation: Simulation, size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Two tokens: click and padding, or the two corners of a box."""
    b = len(batch.clicks)
    corners = batch.boxes.reshape(b, 2, 3)
    sides = (corners[:, 1] - corners[:, 0] + 1)[:, None]
    device = corners.device
    loose = torch.rand(b, 1, 1, generator=generator) < 0.5
    shift = 0.1 * (2 * torch.rand(b, 2, 3, generator=generator) - 1)
    corners = corners + (shift * loose).to(device) * sides
    point = torch.stack([batch.clicks, torch.zeros_like(batch.clicks)], dim=1)
    if batch.boxed is None:
        boxed = (torch.rand(b, 1, generator=generator) < simulation.boxes).to(device)
    else:
        boxed = batch.boxed[:, None]
        corners = corners.clamp(-0.5, size - 0.5)  # As serving cuts a box to its window.
    coords = torch.where(boxed[..., None], corners, point)
    labels = torch.where(
        boxed,
        torch.tensor([BOX_FIRST, BOX_LAST], device=device),
        torch.tensor([POSITIVE, PADDING], device=device),
    )
    return coords, labels


def _first_prior(targets: Tensor, simulation: Simulation, generator: torch.Generator) -> Tensor:
    """Zeros, or for some prompts the target's mask shifted, blurred and dented."""
    b, cells = targets.shape[0], targets.shape[-1]
    given = torch.rand(b, 1, 1, 1, generator=generator) < simulation.priors
    if not given.any():
        return torch.zeros_like(targets)
    given = given.to(targets.device)
    shifts = [int(s) for s in torch.randint(-2, 3, (3,), generator=generator)]
    moved = torch.roll(targets, shifts, dims=(1, 2, 3))[:, None]
    coarse = torch.randn(b, 1, 6, 6, 6, generator=generator).to(targets.device)
    dents = F.interpolate(coarse, size=(cells, cells, cells), mode="trilinear")
    blurred = F.avg_pool3d(moved, 3, stride=1, padding=1)
    spoilt = (8 * (blurred - 0.5) + 1.5 * dents)[:, 0].clamp(-4, 4)
    return torch.where(given, spoilt, torch.zeros_like(spoilt))
