"""A volume of structures without an image: what a synthetic scan is rendered from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tissue:
    """How a structure looks in CT.

    Parameters
    ----------
    mean
        HU without contrast agent.
    spread
        Standard deviation of the mean between scans, HU.
    texture
        Standard deviation within the structure, HU, noise of the scanner not counted.
    grain_mm
        Size of the texture's grains, mm.
    arterial, portal
        HU gained at the height of the arterial and of the portal venous phase.
    """

    mean: float
    spread: float
    texture: float = 4.0
    grain_mm: float = 8.0
    arterial: float = 0.0
    portal: float = 0.0


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Structures on an isotropic grid, axes R, A, S.

    Parameters
    ----------
    labels
        uint8 [X, Y, Z]; 0 is outside of everything.
    spacing_mm
        Edge of a voxel.
    names
        Of every label and every union.
    weights
        How often a label, or a union, is drawn as the target, relative to each other. What is not
        named is never a target.
    unions
        Target id that is no label of the map itself -> the labels that it consists of.
    tissue
        CT appearance by label; None: any intensity will do.
    kind
        "torso", "brain" or "shapes": which priors rendering may use.
    """

    labels: NDArray[np.uint8]
    spacing_mm: float
    names: Mapping[int, str]
    weights: Mapping[int, float]
    unions: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    tissue: Mapping[int, Tissue] | None = None
    kind: str = "shapes"

    @property
    def targets(self) -> tuple[int, ...]:
        """Ids that may be a target: labels and unions."""
        return tuple(self.weights)

    def members(self, target: int) -> tuple[int, ...]:
        """Labels that make up `target`."""
        return self.unions.get(target, (target,))

    def mask(self, labels: NDArray[np.uint8], target: int) -> NDArray[np.bool_]:
        """Where `labels` (the map's own, or a crop of it) belong to `target`; bool, same shape."""
        table = np.zeros(256, bool)
        table[list(self.members(target))] = True
        return table[labels]

    def draw_target(
        self,
        labels: NDArray[np.uint8],
        rng: np.random.Generator,
        *,
        smallest: int = 30,
        largest: float = 0.6,
    ) -> int | None:
        """Draw a target present in a crop, by weight.

        Parameters
        ----------
        labels
            uint8, any shape: the window.
        smallest
            Voxels that a target must have in the window.
        largest
            Share of the window that a target may take.

        Returns
        -------
        A target id, or None where the window holds none.
        """
        counts = np.bincount(labels.ravel(), minlength=256)
        sizes = {t: int(counts[list(self.members(t))].sum()) for t in self.weights}
        fit = [t for t, n in sizes.items() if smallest <= n <= largest * labels.size]
        if not fit:
            return None
        p = np.array([self.weights[t] for t in fit])
        return int(rng.choice(fit, p=p / p.sum()))
