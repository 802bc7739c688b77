"""Samples from real scans without labels: the structure is whatever a smooth interval encloses."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import NoForeground
from sammoe.training.data.pseudo import pseudo
from sammoe.training.sampling import Cube, Sample, prompted, reorient
from sammoe.volume.crop import crop
from sammoe.volume.volume import Volume
from sammoe.volume.window import WindowRule, model_grid, window_at

_TRIES = 4
_SMALLEST = 200  # voxels
_NOISE = 0.15  # standard deviations of the window, at most


class ScanSampler:
    """Draws windows of real scans and pseudo structures in them."""

    def __init__(self, scans: Sequence[Volume], rule: WindowRule, prompts: int) -> None:
        self.scans = scans
        self.rule = rule
        self.prompts = prompts

    def draw(self, rng: np.random.Generator) -> Sample | None:
        """One sample, or None where the window holds too little."""
        scan = self.scans[int(rng.integers(len(self.scans)))]
        spacing = float(rng.choice(self.rule.spacings, p=self._shares()))
        size = model_grid(scan.geometry, spacing).shape
        x, y, z = (float(rng.uniform(0, n - 1)) for n in size)
        window = window_at(size, (x, y, z), spacing, self.rule)
        try:
            image = crop(scan, window, self.rule)[0, 0]
        except NoForeground:
            return None
        masks: list[NDArray[np.bool_]] = []
        for _ in range(_TRIES * self.prompts):
            mask = pseudo(image, rng)
            if mask is not None and mask.sum() >= _SMALLEST:
                masks.append(mask.astype(bool))
            if len(masks) == self.prompts:
                return self._augmented(image, masks, rng)
        return None

    def _shares(self) -> NDArray[np.float64]:
        """Fine spacings more often: that is where structures of a few centimetres are clicked."""
        shares = np.power(0.6, np.arange(len(self.rule.spacings)))
        return np.asarray(shares / shares.sum())

    def _augmented(
        self, image: Cube, masks: list[NDArray[np.bool_]], rng: np.random.Generator
    ) -> Sample:
        turned, *turned_masks = reorient([image, *masks], rng)
        noise = rng.normal(0, rng.uniform(0, _NOISE), image.shape).astype(np.float32)
        return prompted(turned + noise, turned_masks, self.rule.cells, rng)
