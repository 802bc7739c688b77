"""The decoders' inputs: one pure function for serving, training and every decoder alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sammoe.engine.selector import BOX_HI, BOX_LO, PADDING
from sammoe.volume.window import WindowRule


@dataclass(frozen=True, eq=False)
class DecoderInputs:
    """Inputs of a decoder's graph beside the embedding.

    Attributes
    ----------
    coords
        float32 [1, N, 3]: window voxel index; voxel centres are integers, the graph adds 0.5 and
        divides by the window's side.
    labels
        int32 [1, N]: 1 positive, 0 negative, -1 padding, 2 and 3 the box's corners.
    mask
        float32 [1, 1, L, L, L]: prior logits; all 0 without one, as SAM-Med3D was trained.
    """

    coords: NDArray[np.float32]
    labels: NDArray[np.int32]
    mask: NDArray[np.float32]

    def with_embedding(self, embedding: NDArray[np.float16]) -> dict[str, NDArray[Any]]:
        """All inputs of the graph, by name."""
        return {
            "embedding": embedding,
            "coords": self.coords,
            "labels": self.labels,
            "mask": self.mask,
        }


def decoder_inputs(
    points: ArrayLike,
    labels: ArrayLike,
    box: tuple[ArrayLike, ArrayLike] | None,
    mask: NDArray[np.float32] | None,
    rule: WindowRule,
) -> DecoderInputs:
    """Turn a prompt in window coordinates into the decoder's tensors.

    The padding token (0, 0, 0) with label -1 is appended exactly when there is no box, as the
    official prompt encoder does.

    Parameters
    ----------
    points
        float [N, 3], window voxel index; N may be 0.
    labels
        int [N]: 1 positive, 0 negative.
    box
        First and last corner, float [3] each, window voxel index; clipped to the window's outer
        faces.
    mask
        Prior logits float32 [L, L, L], or None for all 0.
    rule
        Gives the window's side and L.

    Raises
    ------
    ValueError
        The shapes do not fit each other.
    """
    coords = np.asarray(points, dtype=np.float32).reshape(-1, 3)
    kinds = np.asarray(labels, dtype=np.int32).reshape(-1)
    if len(coords) != len(kinds):
        raise ValueError(f"{len(coords)} points but {len(kinds)} labels")
    if box is None:
        more, more_kinds = np.zeros((1, 3), np.float32), [PADDING]
    else:
        corners = np.asarray(box, dtype=np.float32).reshape(2, 3)
        more, more_kinds = np.clip(corners, -0.5, rule.side - 0.5), [BOX_LO, BOX_HI]
    side = rule.cells
    if mask is None:
        mask = np.zeros((side, side, side), np.float32)
    elif mask.shape != (side, side, side):
        raise ValueError(f"the prior has shape {mask.shape}, the decoder wants {(side,) * 3}")
    return DecoderInputs(
        coords=np.concatenate([coords, more])[None],
        labels=np.concatenate([kinds, np.asarray(more_kinds, np.int32)])[None],
        mask=np.ascontiguousarray(mask, dtype=np.float32)[None, None],
    )
