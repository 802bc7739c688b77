"""From logits to scores against one target; equal logits are scored once."""

import hashlib
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sammoe.training.evaluation.metrics import Mask, bounding_slices, surface_dice
from sammoe.training.evaluation.protocol import dice_in_crop
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import Pasted, paste
from sammoe.volume.window import Window

Logits = NDArray[np.float32]


class Judged:
    """The scores of one answer."""

    def __init__(self, logits: Logits, window: Window, judge: "Judge") -> None:
        self._logits, self._window, self._judge = logits, window, judge
        self.pasted: Pasted = paste(logits, window, judge.geometry)

    @cached_property
    def mask(self) -> Mask:
        """The whole mask, bool on the volume's grid."""
        return self.pasted.full(self._judge.geometry.shape).view(np.bool_)

    @cached_property
    def dice(self) -> float:
        """On the volume's own grid."""
        mask = self.pasted.mask
        there = tuple(slice(o, o + n) for o, n in zip(self.pasted.offset, mask.shape, strict=True))
        both = int(np.count_nonzero(mask & self._judge.target[there]))
        return 2 * both / (int(np.count_nonzero(mask)) + self._judge.voxels)

    @cached_property
    def nsd(self) -> float:
        """Surface Dice at 1 mm on the volume's own grid."""
        part = bounding_slices(self.mask | self._judge.target, margin=1)
        spacing = self._judge.geometry.spacing
        return surface_dice(self.mask[part], self._judge.target[part], spacing)

    @cached_property
    def dice_crop(self) -> float:
        """See `dice_in_crop`."""
        return dice_in_crop(self._logits, self._window, self._judge.geometry, self._judge.target)


class Judge:
    """Scores answers against one target.

    Parameters
    ----------
    target
        bool [i, j, k], not empty.
    geometry
        Of the volume.
    """

    def __init__(self, target: Mask, geometry: Geometry) -> None:
        self.target, self.geometry = target, geometry
        self.voxels = int(np.count_nonzero(target))
        self._known: dict[tuple[str, bytes], Judged] = {}

    def __call__(self, logits: Logits, window: Window) -> Judged:
        """Score logits float32 [L, L, L] of a window."""
        content = np.ascontiguousarray(logits).data
        key = window.key(), hashlib.blake2b(content, digest_size=16).digest()
        if key not in self._known:
            self._known[key] = Judged(logits, window, self)
        return self._known[key]
