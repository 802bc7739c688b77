"""Self-attention with SAM-Med3D's relative positions: plain, and exact short for padded windows.

The checkpoints were trained with the three position terms on unusual axes. For the query at
(a, b, c) and the key at (i, j, l) the bias that is added is, and must stay::

    q[a,b,c] . Rd[a,l]  +  q[a,b,i] . Rh[b,l]  +  q[a,b,j] . Rw[j,l]

with ``R[x, y] = table[x - y + n - 1]``. The second and third term depend on (a, b) and the key
alone, the first on the query and l alone, so that it is a product of g-vectors: it is appended to
queries and keys, and costs no pass of its own over the attention matrix.
"""

import torch
from torch import Tensor, nn

_TINY = 1e-30  # keeps log() finite where a sum of exponentials underflows beside a larger one


class RelPosAttention(nn.Module):
    """Multi-head self-attention over one cube of tokens.

    ``window`` n is the side that the position tables are made for. Cubes of side n are attended
    plainly. A smaller cube of side g < n stands for itself zero-padded to n at the far end of
    each axis, without a mask, as SAM-Med3D does it: the padded tokens are keys of constant value
    (the qkv bias) and are summed in closed form as ONE virtual key per query. The numbers are
    those of the padded form.
    """

    rel_pos_d: Tensor
    rel_pos_h: Tensor
    rel_pos_w: Tensor
    index: Tensor

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.head_dim = dim // heads
        self.scale = self.head_dim**-0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        for axis in "dhw":
            table = nn.Parameter(torch.zeros(2 * window - 1, self.head_dim))
            setattr(self, f"rel_pos_{axis}", table)
        index = torch.arange(window)[:, None] - torch.arange(window)[None, :] + window - 1
        self.register_buffer("index", index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, g, g, g, dim] -> the same shape, g <= window."""
        b, g, dim = x.shape[0], x.shape[1], x.shape[4]
        h, n, size = self.heads, self.window, g**3
        qkv = self.qkv(x).reshape(b, size, 3, h, self.head_dim).permute(2, 0, 3, 1, 4)
        query, key, value = qkv[0], qkv[1], qkv[2]  # [B, h, g^3, d]

        planes = query.reshape(b, h, g, g, g, self.head_dim)
        if g < n:  # query vectors at padded positions are the query bias
            bias_q, bias_k, bias_v = self.qkv.bias.reshape(3, h, self.head_dim)
            padding = bias_q.reshape(1, h, 1, 1, 1, -1).expand(b, h, g, g, n - g, self.head_dim)
            planes = torch.cat([planes, padding], dim=4)
        first, second, third = self._position_terms(query, planes)
        in_window = second[..., :g, None, :g] + third[..., None, :g, :g]  # [B,h,a,b,i,j,l]
        shared = in_window.reshape(b, h, g * g, 1, size)
        features = [query * self.scale, first[..., :g].reshape(b, h, size, g)]
        last_axis = torch.eye(g, dtype=x.dtype, device=x.device).repeat(g * g, 1)
        keys = torch.cat([key, last_axis.expand(b, h, size, g)], dim=-1)

        if g < n:
            features.append(self._virtual_logit(first, second, third, g).reshape(b, h, size, 1))
            keys = torch.cat([keys, torch.zeros_like(keys[..., :1])], dim=-1)
            virtual = torch.cat([bias_k, torch.zeros_like(bias_k[:, :g])], dim=-1)
            virtual = torch.cat([virtual, torch.ones_like(bias_k[:, :1])], dim=-1)
            keys = torch.cat([keys, virtual[None, :, None].expand(b, h, 1, -1)], dim=2)
            value = torch.cat([value, bias_v[None, :, None].expand(b, h, 1, -1)], dim=2)
            shared = torch.cat([shared, torch.zeros_like(shared[..., :1])], dim=-1)

        logits = torch.cat(features, dim=-1) @ keys.transpose(-1, -2)
        logits = logits.reshape(b, h, g * g, g, -1) + shared
        weights = torch.softmax(logits, dim=-1).reshape(b, h, size, -1)
        out = (weights @ value).transpose(1, 2).reshape(b, g, g, g, dim)
        result: Tensor = self.proj(out)
        return result

    def _position_terms(self, query: Tensor, planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """D [B,h,a,b,c,l], H [B,h,a,b,i,l] and W [B,h,a,b,j,l]; i, j, l run over the window."""
        b, h, g = planes.shape[0], planes.shape[1], planes.shape[2]
        depth = self.rel_pos_d[self.index[:g]]  # [a, l, d]
        height = self.rel_pos_h[self.index[:g]]  # [b, l, d]
        width = self.rel_pos_w[self.index]  # [j, l, d]
        own = query.reshape(b, h, g, g * g, self.head_dim)
        first = (own @ depth.transpose(-1, -2)).reshape(b, h, g, g, g, -1)
        second = planes @ height.transpose(-1, -2)
        third = (planes.unsqueeze(-2) @ width.transpose(-1, -2)).squeeze(-2)
        return first, second, third

    def _virtual_logit(self, first: Tensor, second: Tensor, third: Tensor, g: int) -> Tensor:
        """log of the sum of exp(bias) over all padded keys, without q . b_k: [B,h,a,b,c].

        For fixed l the bias separates in i and j, so the sum over padded (i, j) is
        ``Hp Wall + Hreal Wp`` for real l and ``Hall Wall`` for padded l, where the index says
        whether i (or j) runs over padded, real, or all positions.
        """
        top_h = second.amax(dim=-2, keepdim=True)
        top_w = third.amax(dim=-2, keepdim=True)
        exp_h, exp_w = torch.exp(second - top_h), torch.exp(third - top_w)
        real_h, pad_h = exp_h[..., :g, :].sum(-2), exp_h[..., g:, :].sum(-2)
        pad_w, all_w = exp_w[..., g:, :].sum(-2), exp_w.sum(-2)
        inside = (pad_h * all_w + real_h * pad_w)[..., :g]
        beyond = ((real_h + pad_h) * all_w)[..., g:]
        sums = torch.log(torch.cat([inside, beyond], dim=-1).clamp_min(_TINY))
        terms = first + (sums + top_h.squeeze(-2) + top_w.squeeze(-2)).unsqueeze(-2)
        top = terms.amax(dim=-1, keepdim=True)
        return (top + torch.log(torch.exp(terms - top).sum(-1, keepdim=True))).squeeze(-1)
