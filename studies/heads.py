"""Whole synthetic heads that hold a real hippocampus.

The Decathlon's crops are 35 mm wide: the zeros around them would tell a network more than what is
in them. So each is also pasted into a rendered head, at the place of that brain's hippocampus.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from sammoe.training.data import brain_labels
from sammoe.training.data.labelmap import LabelMap
from sammoe.training.data.render import render
from sammoe.volume.volume import Modality

HEAD_CLASSES = {
    "thalamus_left": 10,
    "thalamus_right": 49,
    "caudate_left": 11,
    "caudate_right": 50,
    "putamen_left": 12,
    "putamen_right": 51,
    "brain_stem": 16,
}
"""General classes of a head: name -> FreeSurfer id."""

_HIPPOCAMPI = (17, 53)  # FreeSurfer ids, left and right
_MARGIN_MM, _FEATHER_MM = 7.0, 4.0


def head_with_crop(
    brain: LabelMap,
    crop: NDArray[np.float32],
    human: NDArray[np.uint8],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Render a brain as MR and paste a crop over one of its hippocampi.

    Parameters
    ----------
    brain
        Label map, axes R, A, S.
    crop, human
        T1 at 1 mm, same axes, and its labels: 1 anterior, 2 posterior.

    Returns
    -------
    Image float32 and labels uint8 on the brain's grid: the human labels 1 and 2, and from 10 on the
    classes of `HEAD_CLASSES`; what the pasted crop covers of these is theirs no more.
    """
    mm = brain.spacing_mm
    image = render(brain.labels, brain, rng, Modality.MR, voxel_mm=mm)
    marked = np.zeros(brain.labels.shape, np.uint8)
    for k, number in enumerate(HEAD_CLASSES.values()):
        marked[brain.labels == brain_labels.code(number)] = 10 + k
    side = _HIPPOCAMPI[int(rng.integers(2))]
    place = np.argwhere(brain.labels == brain_labels.code(side)).mean(0)
    centre = np.argwhere(human > 0).mean(0)
    half = np.ceil((np.ptp(np.argwhere(human > 0), axis=0) / 2 + _MARGIN_MM) / mm).astype(int)
    first = np.rint(place).astype(int) - half
    grid = np.stack(np.meshgrid(*(np.arange(2 * h + 1) for h in half), indexing="ij"))
    where = (grid - half[:, None, None, None]) * mm + centre[:, None, None, None]
    inside = np.all((where >= 0) & (where <= np.array(crop.shape).reshape(3, 1, 1, 1) - 1), axis=0)
    part = map_coordinates(gaussian_filter(crop, 0.4 * mm), where, order=1, mode="nearest")
    labels = map_coordinates(human, where, order=0, mode="constant")
    weight = np.clip(distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1, 1:-1] * mm, 0, None)
    weight = np.clip(weight / _FEATHER_MM, 0, 1)
    here = tuple(
        slice(max(f, 0), min(f + n, s))
        for f, n, s in zip(first, part.shape, image.shape, strict=True)
    )
    there = tuple(slice(s.start - f, s.stop - f) for s, f in zip(here, first, strict=True))
    part, labels, weight = part[there], labels[there], weight[there]
    under = image[here]
    scale = under.std() / max(float(part[weight > 0].std()), 1e-6)
    part = (part - part[weight > 0].mean()) * scale + under.mean()
    image[here] = np.maximum((1 - weight) * under + weight * part, 0)
    covered = marked[here]
    covered[weight > 0.5] = 0
    covered[labels > 0] = labels[labels > 0]
    return image, marked
