"""How far a prompt is from everything that a general model's gates were shown."""

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle.features import ReferenceFeatures

_LIMIT = 8.0
"""Deviations at which a feature is cut off, as the stored ones are: none decides alone."""


class Familiarity:
    """Distance of gate features from the nearest of the reference features that ship.

    The distance is Euclidean between standardised features, divided by the root of their number:
    1 is one standard deviation on every feature, whatever the width of the model.
    Parameters
    ----------
    reference
        Of the general decoder whose features will be measured.
    """

    def __init__(self, reference: ReferenceFeatures) -> None:
        self._mean, self._deviation = reference.mean, reference.deviation
        self._known = reference.standard
        self._squares = np.einsum("nf,nf->n", self._known, self._known)

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Distance of each of n prompts, float64 [n], from raw features float32 [n, F]."""
        standard = (features - self._mean) / self._deviation
        np.clip(standard, -_LIMIT, _LIMIT, out=standard)
        squares = np.einsum("nf,nf->n", standard, standard)
        apart = squares[:, None] + self._squares - 2 * (standard @ self._known.T)
        # Rounding may leave less than nothing between equal features.
        nearest = np.maximum(apart.min(axis=1), 0).astype(np.float64)
        distances: NDArray[np.float64] = np.sqrt(nearest / standard.shape[1])
        return distances
