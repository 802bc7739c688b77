"""From answers to scores against one target; equal answers are scored once."""

import hashlib
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sammoe.engine.selector import LOGIT_LIMIT
from sammoe.training.evaluation.metrics import Mask, bounding_slices, surface_dice
from sammoe.training.evaluation.protocol import dice_in_crop
from sammoe.training.evaluation.users import Index, next_click
from sammoe.volume.field import CELLS_PER_PATCH, Field
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import Pasted
from sammoe.volume.window import Window

Logits = NDArray[np.float32]
Region = tuple[slice, slice, slice]


class Judged:
    """The scores of one answer."""

    def __init__(self, field: Field, judge: "Judge") -> None:
        self._field, self._judge = field, judge
        self.pasted: Pasted = field.paste(judge.geometry)

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

    def dice_crop(self, window: Window) -> float:
        """See `dice_in_crop`; of the part in a window that the field holds."""
        cells = CELLS_PER_PATCH * window.side // self._field.patch
        part = self._field.within(window, cells)
        logits = np.where(np.isnan(part), np.float32(-LOGIT_LIMIT), part)
        return dice_in_crop(logits, window, self._judge.geometry, self._judge.target)


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
        self._known: dict[tuple[object, ...], Judged] = {}

    def __call__(self, field: Field) -> Judged:
        """Score an answer."""
        content = hashlib.blake2b(np.ascontiguousarray(field.values).data, digest_size=16)
        key = field.spacing, field.patch, field.start, field.values.shape, content.digest()
        if key not in self._known:
            self._known[key] = Judged(field, self)
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
