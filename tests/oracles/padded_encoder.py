"""The oracle: SAM-Med3D's image encoder in the plain, padded form, slow and obvious.

Written from the architecture's description alone, on a ``state_dict``: it shares no code with
:mod:`sammoe.model`. A windowed block pads the grid with zeros to a multiple of the window, without
a mask, and attends over every token of every window, padded ones included.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from sammoe.model.config import SamMed3DConfig


def padded_encode(state: dict[str, Tensor], config: SamMed3DConfig, image: Tensor) -> Tensor:
    """Image [B, 1, S, S, S] -> embedding [B, C, g, g, g]; keys as in ``image_encoder``."""
    x = patch_embed(state, config, image) + state["pos_embed"]
    for index in range(config.depth):
        x = block(state, config, index, x)
    return neck(state, x)


def patch_embed(state: dict[str, Tensor], config: SamMed3DConfig, image: Tensor) -> Tensor:
    """[B, 1, S, S, S] -> [B, g, g, g, dim], before the position embedding."""
    weight, bias = state["patch_embed.proj.weight"], state["patch_embed.proj.bias"]
    return F.conv3d(image, weight, bias, stride=config.patch_size).permute(0, 2, 3, 4, 1)


def block(state: dict[str, Tensor], config: SamMed3DConfig, index: int, x: Tensor) -> Tensor:
    """One pre-norm block, [B, g, g, g, dim] -> the same shape."""
    own = {
        key.removeprefix(f"blocks.{index}."): value
        for key, value in state.items()
        if key.startswith(f"blocks.{index}.")
    }
    dim = x.shape[-1]
    y = F.layer_norm(x, (dim,), own["norm1.weight"], own["norm1.bias"], 1e-6)
    if index in config.global_blocks:
        y = attention(own, config.num_heads, y)
    else:
        cubes = split(y, config.window_size)
        y = join(attention(own, config.num_heads, cubes), config.window_size, x.shape)
    x = x + y
    y = F.layer_norm(x, (dim,), own["norm2.weight"], own["norm2.bias"], 1e-6)
    y = F.gelu(F.linear(y, own["mlp.lin1.weight"], own["mlp.lin1.bias"]))
    return x + F.linear(y, own["mlp.lin2.weight"], own["mlp.lin2.bias"])


def attention(own: dict[str, Tensor], heads: int, x: Tensor) -> Tensor:
    """Attention over whole cubes of side n, [B, n, n, n, dim], with the positions as trained."""
    b, n, dim = x.shape[0], x.shape[1], x.shape[-1]
    qkv = F.linear(x, own["attn.qkv.weight"], own["attn.qkv.bias"])
    q, k, v = qkv.reshape(b, n**3, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
    logits = (q * (dim // heads) ** -0.5) @ k.transpose(-1, -2)
    steps = torch.arange(n)
    index = steps[:, None] - steps[None, :] + n - 1
    rel_d, rel_h, rel_w = (own[f"attn.rel_pos_{axis}"][index] for axis in "dhw")
    cube = q.reshape(b, heads, n, n, n, dim // heads)
    first = torch.einsum("zfabcx,alx->zfabcl", cube, rel_d)[:, :, :, :, :, None, None, :]
    second = torch.einsum("zfabix,blx->zfabil", cube, rel_h)[:, :, :, :, None, :, None, :]
    third = torch.einsum("zfabjx,jlx->zfabjl", cube, rel_w)[:, :, :, :, None, None, :, :]
    logits = logits.reshape(b, heads, n, n, n, n, n, n) + first + second + third
    weights = logits.reshape(b, heads, n**3, n**3).softmax(dim=-1)
    out = (weights @ v).transpose(1, 2).reshape(b, n, n, n, dim)
    return F.linear(out, own["attn.proj.weight"], own["attn.proj.bias"])


def split(x: Tensor, n: int) -> Tensor:
    """[B, g, g, g, dim] -> [B * windows, n, n, n, dim], zero-padded at the far ends."""
    pad = -x.shape[1] % n
    x = F.pad(x, (0, 0, 0, pad, 0, pad, 0, pad))
    cubes = [
        plank
        for slab in torch.split(x, n, 1)
        for beam in torch.split(slab, n, 2)
        for plank in torch.split(beam, n, 3)
    ]
    return torch.cat(cubes)


def join(cubes: Tensor, n: int, shape: torch.Size) -> Tensor:
    """The inverse of :func:`split`, padding cut off: -> [B, g, g, g, dim]."""
    b, g = shape[0], shape[1]
    k = -(-g // n)
    planks = list(torch.split(cubes, b))
    beams = [torch.cat(planks[i : i + k], dim=3) for i in range(0, k**3, k)]
    slabs = [torch.cat(beams[i : i + k], dim=2) for i in range(0, k**2, k)]
    return torch.cat(slabs, dim=1)[:, :g, :g, :g]


def neck(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """[B, g, g, g, dim] -> [B, C, g, g, g]: two convolutions, each with a norm over channels."""
    x = F.conv3d(x.permute(0, 4, 1, 2, 3), state["neck.0.weight"])
    x = _channel_norm(x, state["neck.1.weight"], state["neck.1.bias"])
    x = F.conv3d(x, state["neck.2.weight"], padding=1)
    return _channel_norm(x, state["neck.3.weight"], state["neck.3.bias"])


def _channel_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    x = F.layer_norm(x.permute(0, 2, 3, 4, 1), (x.shape[1],), weight, bias, 1e-6)
    return x.permute(0, 4, 1, 2, 3)
