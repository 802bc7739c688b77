"""The shape of a SAM-Med3D network, as one value object."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

_MOST: Final = 4096
"""Of every number: networks of more can not be built, or not in any time."""

_MAY_BE_ZERO: Final = {"window_size", "detail_channels"}


@dataclass(frozen=True)
class SamMed3DConfig:
    """Every number that shapes the network.

    Official names: ``image_size`` is ``img_size``, ``prompt_dim`` is ``out_chans`` and
    ``transformer_dim``.

    Parameters
    ----------
    image_size
        Side S of the cubic input, voxels.
    patch_size
        Side of one patch, voxels; the token grid is g = S / patch_size, the low-res side 4 g.
    embed_dim, depth, num_heads, mlp_ratio
        Width, blocks and heads of the image encoder.
    window_size
        Side of an attention window in tokens (blocks that are not in ``global_blocks``).
    global_blocks
        Indices of the blocks that attend over the whole grid.
    prompt_dim
        Width C of the neck's output, of prompt tokens and of the mask decoder.
    mask_channels
        Width of the mask prompt's convolutions.
    decoder_heads, decoder_mlp
        Heads and hidden width of the two-way transformer (depth 2).
    iou_hidden
        Hidden width of the IoU head (official recipe never trains it).
    box_embeddings
        Whether the two box-corner embeddings exist (point_embeddings 2 and 3).
    fourier_scale
        Standard deviation of the random Fourier matrix; official weights carry their own.
    detail_channels
        Channels e of the detail path at the low-res side (0: official architecture). With it,
        image embeddings have C + 64 e channels: e per low-res voxel, folded into the token grid.
    """

    image_size: int = 128
    patch_size: int = 16
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: int = 4
    window_size: int = 14
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    prompt_dim: int = 384
    mask_channels: int = 16
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    iou_hidden: int = 256
    box_embeddings: bool = False
    fourier_scale: float = 1.0
    detail_channels: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name in _MAY_BE_ZERO else 1
            if field.type is int and not (type(value) is int and least <= value <= _MOST):
                raise ValueError(f"{field.name} is {value!r}, not a number from {least} to {_MOST}")
        if not 0 <= self.fourier_scale <= _MOST:
            raise ValueError(f"fourier_scale is {self.fourier_scale}, not from 0 to {_MOST}")
        if self.image_size % self.patch_size:
            raise ValueError(f"patch {self.patch_size} does not divide image {self.image_size}")
        if self.prompt_dim % 3:
            raise ValueError(f"prompt_dim {self.prompt_dim} is not a multiple of 3")
        if self.embed_dim % self.num_heads:
            raise ValueError(f"num_heads {self.num_heads} does not divide {self.embed_dim}")
        if not self.window_size and not {*range(self.depth)} <= {*self.global_blocks}:
            raise ValueError("window_size is 0, and not every block is in global_blocks")
        if self.detail_channels and self.patch_size % 4:
            raise ValueError("the detail path needs a patch size that is a multiple of 4")
        if self.detail_channels and self.grid % 2:
            raise ValueError(f"the detail path needs an even token grid, not {self.grid}")

    @property
    def grid(self) -> int:
        """Tokens per side, g."""
        return self.image_size // self.patch_size

    @property
    def cells(self) -> int:
        """Low-res side, 4 g."""
        return 4 * self.grid

    @property
    def embedding_channels(self) -> int:
        """Channels E of the image embedding, folded detail included."""
        return self.prompt_dim + 64 * self.detail_channels

    @classmethod
    def vit_b(cls, *, box_embeddings: bool = False) -> Self:
        """Official ``vit_b_ori``: the one that every released checkpoint uses."""
        return cls(box_embeddings=box_embeddings)

    @classmethod
    def small(cls) -> Self:
        """The demo's: trains on two CPU cores; own detail path, box embeddings."""
        return cls(
            image_size=64,
            patch_size=8,
            embed_dim=144,
            depth=4,
            num_heads=6,
            window_size=0,
            global_blocks=tuple(range(4)),
            prompt_dim=96,
            decoder_heads=4,
            decoder_mlp=384,
            iou_hidden=32,
            box_embeddings=True,
            fourier_scale=0.4,
            detail_channels=8,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; :meth:`from_dict` reads it back."""
        return asdict(self) | {"global_blocks": list(self.global_blocks)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The config that :meth:`to_dict` wrote."""
        return cls(**(values | {"global_blocks": tuple(values["global_blocks"])}))
