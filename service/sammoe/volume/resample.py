"""One-dimensional resampling weights; everything in this package resamples axis by axis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Taps:
    """Weights of a few consecutive input samples for each output sample.

    Attributes
    ----------
    first
        int64 [N]: the first input sample of each output sample.
    weights
        float32 [N, T]: weights of the samples ``first .. first + T - 1``; a row sums to 1, or is
        all 0 where the output sample lies outside of the input.
    """

    first: NDArray[np.int64]
    weights: NDArray[np.float32]

    @property
    def needed(self) -> slice:
        """The input samples that are read at all."""
        return slice(int(self.first.min()), int(self.first.max()) + self.weights.shape[1])

    def shifted(self, by: int) -> "Taps":
        """Return the taps for an input whose samples are numbered ``by`` higher."""
        return Taps(self.first + by, self.weights)

    def part(self, outputs: slice) -> "Taps":
        """Return the taps of some of the output samples."""
        return Taps(self.first[outputs], self.weights[outputs])

    def rows(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resample the first axis of ``values`` [M, ...] to [N, ...]."""
        shape = (-1,) + (1,) * (values.ndim - 1)
        total = values[self.first] * self.weights[:, 0].reshape(shape)
        for tap in range(1, self.weights.shape[1]):
            total += values[self.first + tap] * self.weights[:, tap].reshape(shape)
        return total

    def matrix(self, length: int) -> NDArray[np.float32]:
        """Return the same as a dense matrix [N, length]."""
        dense = np.zeros((len(self.first), length), dtype=np.float32)
        columns = self.first[:, None] + np.arange(self.weights.shape[1])
        np.put_along_axis(dense, columns, self.weights, axis=1)
        return dense


def taps(position: NDArray[np.float64], length: int, width: float = 1.0) -> Taps:
    """Weights that average ``length`` samples over a box of ``width`` samples at each position.

    A box of width 1 covers parts ``1 - f`` and ``f`` of two samples, so it *is* linear
    interpolation; a wider box is the area average that keeps a coarser grid free of aliasing.
    Past the outermost sample centres the box is cut to the input and its weights rescaled, which
    for width 1 repeats the edge sample. Positions beyond the outer edges (-0.5 and
    ``length - 0.5``) get weight 0.

    Parameters
    ----------
    position
        float64 [N]: positions on the input axis; sample centres are integers.
    length
        Number of input samples.
    width
        Width of the box in input samples, at least 1.
    """
    low, high = position - width / 2, position + width / 2
    count = min(length, int(np.ceil(width)) + 1)
    first = np.clip(np.floor(low + 0.5).astype(np.int64), 0, length - count)
    sample = first[:, None] + np.arange(count)
    overlap = np.minimum(high[:, None], sample + 0.5) - np.maximum(low[:, None], sample - 0.5)
    weights = np.maximum(overlap, 0.0)
    outside = (position < -0.5) | (position > length - 0.5)
    weights[outside] = 0.0
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return Taps(first, weights.astype(np.float32))
