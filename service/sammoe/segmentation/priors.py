"""Masks that somebody brings: as segmentations, so that a click can refine them."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import Bundle
from sammoe.engine import AUTO
from sammoe.errors import NoForeground, PriorInvalid
from sammoe.store import (
    GIVEN,
    ChoiceRecord,
    PromptRecord,
    RouteRecord,
    SegmentationRecord,
    Store,
    VolumeRecord,
    WindowRecord,
    now,
)
from sammoe.volume.blending import joined
from sammoe.volume.dicom.seg_reading import is_seg, read_seg
from sammoe.volume.field import aligned
from sammoe.volume.geometry import Geometry
from sammoe.volume.limits import ReadLimits
from sammoe.volume.paste import cut
from sammoe.volume.prior import mask_to_logits
from sammoe.volume.reading import read_volume
from sammoe.volume.window import Window, WindowRule, model_grid, window_at

MAX_WINDOWS: Final = 64
"""A mask that more windows hold is kept at a coarser spacing."""

_MOST_WINDOWS: Final = 512
"""At the coarsest spacing."""

_NEAR_MM: Final = 0.01


def given_mask(
    store: Store,
    bundle: Bundle,
    principal: str,
    volume_id: str,
    path: Path,
    label: int | None,
    limits: ReadLimits,
    name: str | None = None,
) -> tuple[SegmentationRecord, VolumeRecord]:
    """Read a mask and keep it as a segmentation; see `Workspace.add_mask`. Blocks."""
    volume = store.volumes.get(principal, volume_id)
    mask = _mask(store, volume, path, label, limits)
    return keep_mask(store, bundle, volume, mask, name), volume


def keep_mask(
    store: Store,
    bundle: Bundle,
    volume: VolumeRecord,
    mask: NDArray[np.bool_],
    name: str | None = None,
) -> SegmentationRecord:
    """Keep a mask on the volume's grid as a segmentation, of that id if one is given. Blocks.

    Raises
    ------
    PriorInvalid
        It has another shape than the volume, or is empty.
    """
    if mask.shape != volume.shape:
        raise PriorInvalid(f"The mask has {mask.shape} voxels and the volume {volume.shape}.")
    if not mask.any():
        raise PriorInvalid("The mask is empty: there is nothing to refine.")
    rule = bundle.manifest.window_rule()
    windows = windows_of(volume, mask, rule)
    answers = [(one, mask_to_logits(mask, one, volume.geometry, rule)) for one in windows]
    field = joined(answers)
    pasted = field.paste(volume.geometry)
    record = SegmentationRecord(
        id=name or store.new_id(volume.id),
        owner=volume.owner,
        created=now(),
        volume_id=volume.id,
        parent=None,
        prompt=PromptRecord(),
        windows=tuple(
            WindowRecord(window=one, candidates=(GIVEN,), cells=rule.cells) for one in windows
        ),
        seeds=len(windows),
        route=RouteRecord(
            used=GIVEN, fused=False, scores={}, top=None, s_top=None, tau=None, check=None
        ),
        choice=ChoiceRecord(expert=AUTO, tau=None),
        bundle_digest=bundle.digest,
        timings_ms={},
        voxel_count=pasted.voxels,
    )
    return store.segmentations.put(record, {GIVEN: field}, promised=name is not None)


def _mask(
    store: Store, volume: VolumeRecord, path: Path, label: int | None, limits: ReadLimits
) -> NDArray[np.bool_]:
    """The voxels of a label, or of any; [i, j, k] on the volume's grid."""
    if is_seg(path):
        if volume.source is None:
            raise PriorInvalid(
                "The mask is a DICOM SEG, and this volume did not come from a DICOM series that one"
                " could be made on."
            )
        return read_seg(path, volume.geometry, store.volumes.source(volume), label)
    try:
        read = read_volume(path, filename=None, modality="MR", limits=limits)
    except NoForeground:
        raise PriorInvalid("The mask is empty, or the same everywhere.") from None
    _check_grid(read.geometry, volume.geometry)
    return np.asarray(read.voxels != 0 if label is None else read.voxels == label)


def windows_of(volume: VolumeRecord, mask: NDArray[np.bool_], rule: WindowRule) -> list[Window]:
    """Windows that hold a mask together, the middle one first; each overlaps the next by half.

    They are of the modality's default spacing, or of the next one that needs at most `MAX_WINDOWS`.
    """
    box = cut(mask)
    corners = np.array([box.offset, np.add(box.offset, box.mask.shape) - 1])
    first = rule.spacings.index(rule.default_spacing[volume.modality.value])
    for spacing in rule.spacings[first:]:
        grid = model_grid(volume.geometry, spacing)
        places = grid.to_model(corners)
        low, high = places.min(axis=0), places.max(axis=0)
        middle = window_at(grid.shape, ((low + high) / 2).tolist(), spacing, rule)
        windows = [*islice(_around(middle, low, high, rule, grid.shape), _MOST_WINDOWS + 1)]
        if len(windows) <= MAX_WINDOWS:
            break
    if len(windows) > _MOST_WINDOWS:
        raise PriorInvalid(
            f"The mask is larger than {_MOST_WINDOWS} windows at the coarsest spacing hold."
        )
    return windows


def _around(
    middle: Window,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    rule: WindowRule,
    size: tuple[int, int, int],
) -> Iterator[Window]:
    step = middle.side // 2
    ranges = []
    for axis in range(3):
        before = max(0.0, middle.start[axis] - 0.5 - low[axis])
        after = max(0.0, high[axis] - (middle.start[axis] + middle.side - 0.5))
        ranges.append(range(-int(np.ceil(before / step)), int(np.ceil(after / step)) + 1))
    places = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    nearest = places[np.argsort(np.abs(places).sum(axis=1), kind="stable")]
    starts = (np.add(middle.start, step * place).tolist() for place in nearest)
    yield from dict.fromkeys(aligned(start, middle, rule.patch, size) for start in starts)


def _check_grid(given: Geometry, wanted: Geometry) -> None:
    if given.shape != wanted.shape:
        raise PriorInvalid(
            f"The mask has {given.shape} voxels and the volume {wanted.shape}: resample it to the"
            " volume's grid."
        )
    off = given.apart(wanted)
    if off <= _NEAR_MM:
        return
    if given.orientation != wanted.orientation:
        raise PriorInvalid(
            f"The mask's axes run {given.orientation} and the volume's {wanted.orientation}:"
            " reorient it, or resample it to the volume's grid."
        )
    raise PriorInvalid(
        f"The mask lies {off:.2f} mm beside the volume: resample it to the volume's grid."
    )
