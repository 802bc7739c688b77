"""From logits to scores against one target; equal logits are scored once."""

import hashlib
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sammoe.training.evaluation.metrics import Mask, bounding_slices, surface_dice
from sammoe.training.evaluation.protocol import dice_in_crop
from sammoe.training.evaluation.users import Index, next_click
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import Pasted, paste
from sammoe.volume.window import Window

Logits = NDArray[np.float32]
Region = tuple[slice, slice, slice]


class Judged:
    """The scores of one answer."""

    def __init__(self, logits: Logits, window: Window, judge: "Judge") -> None:
        self._logits, self._window, self._judge = logits, window, judge
        self.pasted: Pasted = paste(logits, window, judge.geometry)

    @cached_property
    def dice(self) -> float:
        """On the volume's own grid."""
        mask = self.pasted.mask
        there = tuple(slice(o, o + n) for o, n in zip(self.pasted.offset, mask.shape, strict=True))
        both = int(np.count_nonzero(mask & self._judge.target[there]))
        return 2 * both / (int(np.count_nonzero(mask)) + self._judge.voxels)

    @cached_property
    def region(self) -> Region:
        """The part of the volume that holds the mask and the target."""
        found = []
        for axis, part in enumerate(self._judge.box):
            first = self.pasted.offset[axis] if self.pasted.mask.size else part.start
            last = first + self.pasted.mask.shape[axis]
            found.append(slice(min(first, part.start), max(last, part.stop)))
        return found[0], found[1], found[2]

    @cached_property
    def shown(self) -> Mask:
        """The mask in that part."""
        whole = np.zeros([part.stop - part.start for part in self.region], bool)
        places = zip(self.pasted.offset, self.pasted.mask.shape, self.region, strict=True)
        if self.pasted.mask.size:
            whole[tuple(slice(o - r.start, o - r.start + n) for o, n, r in places)] = (
                self.pasted.mask
            )
        return whole

    @cached_property
    def nsd(self) -> float:
        """Surface Dice at 1 mm on the volume's own grid."""
        target = self._judge.target[self.region]
        return surface_dice(self.shown, target, self._judge.geometry.spacing)

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
        self.box = bounding_slices(target)
        self._known: dict[tuple[str, bytes], Judged] = {}

    def __call__(self, logits: Logits, window: Window) -> Judged:
        """Score logits float32 [L, L, L] of a window."""
        content = np.ascontiguousarray(logits).data
        key = window.key(), hashlib.blake2b(content, digest_size=16).digest()
        if key not in self._known:
            self._known[key] = Judged(logits, window, self)
        return self._known[key]

    def next_click(
        self, judged: Judged | None, reach: Mask, rng: np.random.Generator, *, careful: bool
    ) -> tuple[Index, bool]:
        """Where a user who sees an answer, or nothing yet, clicks next; see `users.next_click`."""
        region = self.box if judged is None else judged.region
        target = self.target[region]
        shown = np.zeros_like(target) if judged is None else judged.shown
        spacing = self.geometry.spacing
        (x, y, z), positive = next_click(
            shown, target, reach[region], spacing, rng, careful=careful
        )
        i, j, k = (part.start for part in region)
        return (x + i, y + j, z + k), positive
