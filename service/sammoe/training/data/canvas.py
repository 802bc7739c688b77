"""Painting solids into a label volume, in millimetres of a reference body."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import make_interp_spline

from sammoe.training.data.noise import smooth_noise

Box = tuple[slice, slice, slice]
Depth = NDArray[np.float32]
_STEP = 3.0  # mm between the balls that make a tube


@dataclass(frozen=True, eq=False)
class Solid:
    """A shape: where it may be, and how far (mm, about) each voxel there lies outside of it.

    `out` is float32 [x, y, z] over `box`, negative inside. `owner` tells, for tubes, the index of
    the nearest point of the path.
    """

    box: Box
    out: Depth
    owner: NDArray[np.int16] | None = None

    def but(self, out: NDArray[np.floating]) -> "Solid":
        """The same box and owners, another depth."""
        return Solid(self.box, out.astype(np.float32, copy=False), self.owner)


@dataclass(eq=False)
class Canvas:
    """Labels on a grid with axes R, A, S; ``start`` is the first voxel's centre, mm."""

    labels: NDArray[np.uint8]
    start: NDArray[np.float64]
    step: NDArray[np.float64]
    rng: np.random.Generator
    _rough: list[Depth] = field(default_factory=list)

    def axes(self, box: Box | None = None) -> tuple[Depth, Depth, Depth]:
        """Open grid of coordinates (mm) of a box, or of everything."""
        box = box or (slice(None), slice(None), slice(None))
        x, y, z = (
            (self.start[k] + self.step[k] * np.arange(n))[box[k]].astype(np.float32)
            for k, n in enumerate(self.labels.shape)
        )
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def box(self, low: ArrayLike, high: ArrayLike) -> Box:
        """Voxels between two corners given in mm, cut to the grid."""
        first = np.floor((np.asarray(low) - self.start) / self.step).astype(int)
        last = np.ceil((np.asarray(high) - self.start) / self.step).astype(int) + 1
        a, b, c = (
            slice(int(np.clip(f, 0, n)), int(np.clip(e, 0, n)))
            for f, e, n in zip(first, last, self.labels.shape, strict=True)
        )
        return a, b, c

    def rough(self, box: Box, cell_mm: float = 25.0) -> Depth:
        """Smooth noise of unit deviation over a box; another piece of it at every call."""
        if not self._rough:
            cells = (14.0, 25.0, 50.0)
            self._rough += [smooth_noise(self.labels.shape, c / self.step[0], self.rng)
                            for c in cells]  # fmt: skip
        noise = self._rough[0 if cell_mm < 20 else 1 if cell_mm < 40 else 2]
        shape = [s.stop - s.start for s in box]
        at = [int(self.rng.integers(n - s + 1)) for n, s in zip(noise.shape, shape, strict=True)]
        return noise[tuple(slice(a, a + s) for a, s in zip(at, shape, strict=True))]

    def ellipsoid(
        self,
        centre: ArrayLike,
        radii: ArrayLike,
        *,
        turn: ArrayLike = (0.0, 0.0, 0.0),
        rough: float = 0.0,
        power: float = 2.0,
    ) -> Solid:
        """Ellipsoid (superellipsoid for `power` > 2), turned about x, y, z by radians.

        `rough` is the standard deviation of the bumps on its surface, mm.
        """
        c, r = np.asarray(centre, float), np.asarray(radii, float)
        spin = rotation(turn)
        turned = bool(np.any(turn))
        reach = np.abs(spin) @ r + 2.5 * rough if turned else r + 2.5 * rough
        box = self.box(c - reach, c + reach)
        x, y, z = self.axes(box)
        d = [v - np.float32(m) for v, m in zip((x, y, z), c, strict=True)]
        if turned:
            back = spin.T.astype(np.float32)
            d = [back[k, 0] * d[0] + back[k, 1] * d[1] + back[k, 2] * d[2] for k in range(3)]
        if power == 2.0:
            q = sum((v / np.float32(s)) ** 2 for v, s in zip(d, r, strict=True))
            q = np.sqrt(q)
        else:
            q = sum(np.abs(v / np.float32(s)) ** power for v, s in zip(d, r, strict=True))
            q = q ** np.float32(1 / power)
        out = (q - 1) * np.float32(r.min())
        if rough:
            out = out + np.float32(rough) * self.rough(box)
        return Solid(box, out.astype(np.float32, copy=False))

    def tube(self, path: ArrayLike, radii: ArrayLike) -> Solid:
        """Balls along a smooth curve through `path` [N, 3], mm, with radii [N]."""
        points, radius = curve(path, radii)
        reach = radius[:, None] + 4.0
        box = self.box((points - reach).min(0), (points + reach).max(0))
        out = np.full([s.stop - s.start for s in box], 99.0, np.float32)
        owner = np.zeros(out.shape, np.int16)
        axes = [v.ravel() for v in self.axes(box)]
        corner = np.array([s.start for s in box])
        for n, (p, r) in enumerate(zip(points, radius, strict=True)):
            ball = self.box(p - r - 4.0, p + r + 4.0)
            at = tuple(slice(s.start - c, s.stop - c) for s, c in zip(ball, corner, strict=True))
            if any(s.stop <= s.start for s in at):
                continue
            x, y, z = (np.square(axes[k][at[k]] - np.float32(p[k])) for k in range(3))
            gap = np.sqrt(x[:, None, None] + y[None, :, None] + z[None, None, :]) - np.float32(r)
            part, who = out[at], owner[at]
            nearer = gap < part
            np.copyto(part, gap, where=nearer)
            np.copyto(who, np.int16(n), where=nearer)
        return Solid(box, out, owner)

    def paint(
        self, solid: Solid, label: int, *, over: Sequence[int] | None = None, deep: float = 0.0
    ) -> None:
        """Set `label` where the solid is at least `deep` mm inside, over given labels or all."""
        part = self.labels[solid.box]
        where = solid.out < -deep
        if over is not None:
            where &= self.of(part, over)
        part[where] = label

    @staticmethod
    def of(labels: NDArray[np.uint8], wanted: Sequence[int]) -> NDArray[np.bool_]:
        """Where `labels` are any of `wanted`."""
        table = np.zeros(256, bool)
        table[list(wanted)] = True
        return table[labels]


def rotation(turn: ArrayLike) -> NDArray[np.float64]:
    """Matrix [3, 3] that turns about x, then y, then z by radians."""
    out = np.eye(3)
    for axis, angle in enumerate(np.asarray(turn, float)):
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[j, i], step[i, j] = np.sin(angle), -np.sin(angle)
        out = step @ out
    return out


def curve(path: ArrayLike, radii: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points [M, 3] every few mm on a smooth curve through `path` [N, 3], and radii [M]."""
    p = np.asarray(path, float)
    r = np.broadcast_to(np.asarray(radii, float), len(p))
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1) + 1e-3)])
    spline = make_interp_spline(along, p, k=min(3, len(p) - 1))
    at = np.linspace(0.0, along[-1], max(2, int(along[-1] / _STEP) + 1))
    return spline(at), np.interp(at, along, r)
