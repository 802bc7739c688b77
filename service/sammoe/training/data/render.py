"""Label crops to images: computed tomography by Hounsfield units, magnetic resonance by chance.

The MR side follows SynthSeg (Billot et al., Medical Image Analysis 2023): a random Gaussian per
label, bias field, blur, thick slices, noise and gamma; half of the brains get a T1-like order of
tissues instead. Nothing here looks at a test scan.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sammoe.training.data.brain_labels import T1_LIKE
from sammoe.training.data.labelmap import LabelMap, Tissue
from sammoe.training.data.noise import smooth_noise
from sammoe.volume.volume import Modality

Cube = NDArray[np.float32]
_FINE_MM, _COARSE_MM = 5.0, 20.0  # grains of the two texture fields
_T1_SHARE = 0.75
_STRIPPED_SHARE = 0.45


def render(
    labels: NDArray[np.uint8],
    source: LabelMap,
    rng: np.random.Generator,
    modality: Modality,
    *,
    voxel_mm: float,
) -> Cube:
    """Give a crop of a label map the look of a scan.

    Parameters
    ----------
    labels
        uint8 [X, Y, Z], any of the source's labels, on a grid of `voxel_mm`.
    modality
        CT renders HU (random ones where the source has no tissues); anything else renders MR,
        not negative, about 0 to 1000.

    Returns
    -------
    float32 [X, Y, Z]; about 10 ms for 64^3 on one core.
    """
    if modality is Modality.CT:
        return _render_ct(labels, source, rng, voxel_mm)
    return _render_mr(labels, source, rng, voxel_mm)


def _render_ct(
    labels: NDArray[np.uint8],
    source: LabelMap,
    rng: np.random.Generator,
    voxel_mm: float,
) -> Cube:
    tissue = source.tissue
    mean, texture, coarse = _hounsfield(tissue, rng) if tissue else _any_hounsfield(rng)
    image = _textured(labels, mean, texture, coarse, rng, voxel_mm)
    matrices = _scanner(image.shape, rng, voxel_mm, _sharpness(source, rng, voxel_mm))
    # The noise passes the same kernel, so that it is correlated over about a voxel.
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noise *= np.float32(np.exp(rng.uniform(np.log(3), np.log(28))) / _kept(matrices))
    image += noise
    image = _scan(image, matrices)
    return np.maximum(image, np.float32(-1024), out=image)


def _hounsfield(tissue: Mapping[int, Tissue], rng: np.random.Generator) -> tuple[Cube, Cube, Cube]:
    """Tables [256]: mean HU in one scan, texture of fine and of coarse grain."""
    arterial, portal = _phase(rng)
    mean, fine, coarse = (np.zeros(256, np.float32) for _ in range(3))
    rough = rng.uniform(0.5, 1.5)
    same: dict[Tissue, float] = {}
    for label, t in tissue.items():
        if t not in same:
            gain = arterial * t.arterial + portal * t.portal
            gain *= np.exp(rng.normal(0, 0.15))
            same[t] = t.mean + gain + t.spread * float(np.clip(rng.standard_normal(), -2.2, 2.2))
        mean[label] = same[t] + rng.normal(0, 0.1 * t.spread)
        share = min(1.0, _FINE_MM / max(t.grain_mm, 1.0))
        fine[label] = rough * t.texture * share
        coarse[label] = rough * t.texture * (1.2 - share)
    if rng.random() < 0.3:
        # Neighbours of nearly equal HU: parenchyma and muscle draw together.
        soft = (mean > 0) & (mean < 180)
        middle = mean[soft].mean()
        mean[soft] = middle + (mean[soft] - middle) * np.float32(rng.uniform(0.3, 0.9))
    return mean, fine, coarse


def _phase(rng: np.random.Generator) -> tuple[float, float]:
    """Share of the full arterial and portal enhancement of one scan."""
    kind = rng.random()
    if kind < 0.25:
        return 0.0, 0.0
    if kind < 0.45:
        return rng.uniform(0.4, 1.1), rng.uniform(0, 0.4)
    if kind < 0.9:
        return rng.uniform(0, 0.15), rng.uniform(0.5, 1.3)
    return 0.0, rng.uniform(0.2, 0.6)


def _any_hounsfield(rng: np.random.Generator) -> tuple[Cube, Cube, Cube]:
    """Tables [256] of random soft tissues, some fat, gas and bone."""
    mean = rng.uniform(-20, 180, 256)
    kind = rng.random(256)
    mean[kind < 0.2] = rng.uniform(-130, -60, 256)[kind < 0.2]
    mean[kind < 0.08] = rng.uniform(-950, -300, 256)[kind < 0.08]
    mean[kind > 0.92] = rng.uniform(200, 900, 256)[kind > 0.92]
    if rng.random() < 0.5:
        mean[0] = -1000
    fine = rng.gamma(2, 5, 256)
    return mean.astype(np.float32), fine.astype(np.float32), (0.5 * fine).astype(np.float32)


def _render_mr(
    labels: NDArray[np.uint8], source: LabelMap, rng: np.random.Generator, voxel_mm: float
) -> Cube:
    mean, fine = _signals(source, rng)
    if rng.random() < _STRIPPED_SHARE and source.kind == "brain":
        outside = T1_LIKE.outside
        labels = np.where(np.isin(np.arange(256), outside)[labels], np.uint8(0), labels)
        mean[0] = fine[0] = 0
    image = _textured(labels, mean, fine, 0.7 * fine, rng, voxel_mm)
    empty = labels == 0 if mean[0] == 0 and rng.random() < 0.6 else None
    image = _scan(image, _scanner(image.shape, rng, voxel_mm, _sharpness(source, rng, voxel_mm)))
    np.maximum(image, 0, out=image)
    if rng.random() < 0.5:
        image **= np.float32(np.exp(rng.normal(0, 0.25)))
    bias = smooth_noise(image.shape, image.shape[0] / rng.uniform(0.5, 2.0), rng)
    image *= np.exp(np.float32(rng.uniform(0, 0.2)) * bias)
    # Noise of a magnitude image: Rician, close to Gaussian where the signal is high.
    sigma = np.float32(np.exp(rng.uniform(np.log(0.003), np.log(0.03))))
    image += sigma * rng.standard_normal(image.shape, dtype=np.float32)
    np.abs(image, out=image)
    if empty is not None:
        image[empty] = 0
    image *= np.float32(1000)
    return image


def _signals(source: LabelMap, rng: np.random.Generator) -> tuple[Cube, Cube]:
    """Tables [256]: mean signal (0 to 1) and standard deviation within each label."""
    mean = rng.uniform(0.05, 1.0, 256)
    fine = rng.uniform(0.0, 0.07, 256)
    if source.kind == "brain" and rng.random() < _T1_SHARE:
        mean, fine = T1_LIKE.draw(rng)
    elif source.tissue:
        # Parts of one organ and both sides of a pair look alike.
        first: dict[Tissue, int] = {}
        for label, t in source.tissue.items():
            mean[label] = mean[first.setdefault(t, label)] + rng.normal(0, 0.02)
            if t.mean < -300:
                mean[label] = abs(rng.normal(0, 0.04))
    elif source.kind == "brain":
        mean, fine = T1_LIKE.pair_up(mean, fine, rng)
    if rng.random() < (0.15 if source.kind == "shapes" else 0.85):
        mean[0], fine[0] = 0, 0
    return np.maximum(mean, 0).astype(np.float32), fine.astype(np.float32)


def _textured(
    labels: NDArray[np.uint8],
    mean: Cube,
    fine: Cube,
    coarse: Cube,
    rng: np.random.Generator,
    voxel_mm: float,
) -> Cube:
    """Mean of each label plus noise of fine and of coarse grain."""
    image: Cube = mean[labels]
    grain = max(1.0, _FINE_MM * rng.uniform(0.6, 1.6) / voxel_mm)
    if grain < 1.5:
        image += fine[labels] * rng.standard_normal(labels.shape, dtype=np.float32)
    else:
        image += fine[labels] * smooth_noise(labels.shape, grain, rng)
    image += coarse[labels] * smooth_noise(labels.shape, _COARSE_MM / voxel_mm, rng)
    return image


def _sharpness(source: LabelMap, rng: np.random.Generator, voxel_mm: float) -> float:
    """Sigma of the blur, voxels: enough that the voxels of a coarser label map do not show."""
    return max(rng.uniform(0.35, 0.9), 0.45 * source.spacing_mm / voxel_mm)


def _scanner(
    shape: tuple[int, ...], rng: np.random.Generator, voxel_mm: float, sigma: float
) -> list[Cube]:
    """What a scanner does along each axis, as matrices [n, n].

    A Gaussian of `sigma` voxels; along one random axis often also slices of 1 to 5 mm, half of the
    time sampled at their own distance and interpolated back.
    """
    thick = rng.uniform(1, 5) / voxel_mm
    sliced = int(rng.integers(3)) if rng.random() < 0.6 and thick > 1.2 else None
    out = []
    for axis, n in enumerate(shape):
        at = np.arange(n)
        width = float(np.hypot(sigma, 0.4 * thick)) if axis == sliced else sigma
        if axis == sliced and rng.random() < 0.5:
            slices = np.arange(rng.uniform(0, thick), n - 1 + thick, thick)
            share = np.clip(1 - np.abs(at[:, None] - slices[None]) / thick, 0, None)
            share /= np.maximum(share.sum(1, keepdims=True), 1e-6)
            share[at < slices[0], 0] = 1
            matrix = share @ _gaussian(slices, n, width)
        else:
            matrix = _gaussian(at, n, width)
        out.append(matrix.astype(np.float32))
    return out


def _gaussian(centres: NDArray[np.number], n: int, sigma: float) -> NDArray[np.float64]:
    """Rows of weights [len(centres), n] about each centre."""
    d = np.arange(n)[None] - centres[:, None]
    # The smallest sigmas would lose their centre between two voxels.
    weights = np.exp(-0.5 * (d / max(sigma, 0.25)) ** 2) + 1e-9 * np.exp(-np.abs(d))
    return np.asarray(weights / weights.sum(1, keepdims=True))


def _scan(image: Cube, matrices: list[Cube]) -> Cube:
    """Apply a matrix along each axis."""
    mx, my, mz = matrices
    flat = mx @ image.reshape(image.shape[0], -1)
    out: Cube = np.matmul(my, flat.reshape(image.shape))
    out = np.matmul(out.reshape(-1, image.shape[2]), mz.T)
    return out.reshape(image.shape)


def _kept(matrices: list[Cube]) -> float:
    """Share of white noise's standard deviation that `_scan` keeps, away from the border."""
    return float(np.prod([np.sqrt(np.square(m).sum(1).mean()) for m in matrices]))
