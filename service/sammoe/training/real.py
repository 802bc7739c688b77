"""Samples from real scans without labels: the structure is whatever a smooth interval encloses."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from sammoe.errors import NoForeground
from sammoe.training.data.pseudo import pseudo
from sammoe.training.sampling import Cube, Sample, prompted
from sammoe.volume.crop import crop
from sammoe.volume.volume import Volume
from sammoe.volume.window import WindowRule, model_grid, window_at

_TRIES = 12


class ScanSampler:
    """Draws windows of real scans and pseudo structures in them."""

    def __init__(self, scans: Sequence[Volume], rule: WindowRule, prompts: int) -> None:
        self.scans = scans
        self.rule = rule
        self.prompts = prompts

    def draw(self, rng: np.random.Generator) -> Sample | None:
        """One sample, or None where the window holds too little."""
        scan = self.scans[rng.integers(len(self.scans))]
        spacing = float(rng.choice(self.rule.spacings, p=self._shares()))
        size = model_grid(scan.geometry, spacing).shape
        x, y, z = (float(rng.uniform(0, n - 1)) for n in size)
        window = window_at(size, (x, y, z), spacing, self.rule)
        try:
            image = crop(scan, window, self.rule)[0, 0]
        except NoForeground:
            return None
        masks = []
        for _ in range(_TRIES):
            mask = pseudo(image, rng)
            if mask is not None and mask.sum() >= 200:
                masks.append(mask.astype(bool))
            if len(masks) == self.prompts:
                return self._augmented(image, masks, rng)
        return None

    def _shares(self) -> np.ndarray:
        shares = np.array([0.5, 0.35, 0.15][: len(self.rule.spacings)])
        return shares / shares.sum()

    def _augmented(
        self, image: Cube, masks: list[np.ndarray], rng: np.random.Generator
    ) -> Sample:
        order = rng.permutation(3) if rng.random() < 0.5 else np.arange(3)
        flips = tuple(
            slice(None, None, -1) if rng.random() < 0.5 else slice(None) for _ in range(3)
        )
        turned = [np.ascontiguousarray(a.transpose(order)[flips]) for a in (image, *masks)]
        noise = rng.normal(0, rng.uniform(0, 0.15), image.shape).astype(np.float32)
        if rng.random() < 0.3:
            noise = ndimage.gaussian_filter(noise, 0.7)
        return prompted(turned[0] + noise, turned[1:], self.rule.cells, rng)
