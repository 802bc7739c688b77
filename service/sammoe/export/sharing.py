"""Does a checkpoint share a bundle's encoder and prompt encoder? An expert can not have its own."""

from pathlib import Path

import torch
from torch import Tensor

from sammoe.bundle import ENCODER, GENERAL_DECODER, Bundle
from sammoe.errors import CheckpointInvalid
from sammoe.export.reading import network_config, read_state
from sammoe.model import SamMed3D

_PROMPTS = "prompt_encoder."


def check_shared(bundle: Bundle, model: SamMed3D, source: Path) -> None:
    """Compare every tensor that the bundle's graphs use; where the bundle stores float16, the
    checkpoint's may be what was rounded.

    Parameters
    ----------
    model, source
        The checkpoint's networks, and its file for the message.

    Raises
    ------
    CheckpointInvalid
        A setting or a tensor differs; the detail names the first and says what to do.
    """
    ours, theirs = network_config(bundle).to_dict(), model.config.to_dict()
    for name, value in ours.items():
        if theirs[name] != value:
            raise CheckpointInvalid(
                f"{source}: {name} is {theirs[name]}, in the bundle it is {value}: an expert must"
                f" have the bundle's architecture; train one with sammoe train expert"
            )
    state = model.state_dict()
    encoder, general = read_state(bundle, ENCODER), read_state(bundle, GENERAL_DECODER)
    shared = {f"{ENCODER}.{name}": value for name, value in encoder.tensors.items()}
    shared |= {k: v for k, v in general.tensors.items() if k.startswith(_PROMPTS)}
    for name, value in shared.items():
        if not _same(state[name], value, half=general.half):
            raise CheckpointInvalid(
                f"{source}: {name} differs from the bundle's, and experts share encoder and prompt"
                f" encoder: train one on the bundle that starts from it, with sammoe train expert"
                f" --init {source}"
            )


def _same(theirs: Tensor, ours: Tensor, *, half: bool) -> bool:
    return torch.equal(theirs, ours) or (half and torch.equal(theirs.half().float(), ours))
