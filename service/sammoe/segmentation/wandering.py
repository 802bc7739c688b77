"""Which windows a request begins in: pure functions of its prompt and history.

A first prompt takes one window (see `planning.first_window`); a refinement stays in its parent's
while it points well inside of that, else moves it along the axes on which it points near a face or
beyond. What the first window can not hold, further ones do.
"""

from dataclasses import replace

import numpy as np

from sammoe.errors import OnlyNegative, OutsideWindow
from sammoe.segmentation.planning import (
    Parent,
    Places,
    at_spacing,
    check_form,
    first_window,
    within,
)
from sammoe.store import PromptRecord, VolumeRecord
from sammoe.volume.field import CELLS_PER_PATCH, Field, aligned
from sammoe.volume.window import (
    Window,
    WindowRule,
    model_grid,
    source_to_window,
    window_at,
)

RIM = 1 / 8
"""Share of a window's side at either face: together its outer quarter along an axis."""


def first_windows(
    volume: VolumeRecord,
    parent: Parent | None,
    new: PromptRecord,
    together: PromptRecord,
    rule: WindowRule,
    limit: int,
    spacing: float | None = None,
) -> list[Window]:
    """Windows that the new prompt lies in; the first is the one that the next click starts from.

    Parameters
    ----------
    new, together
        What this request brings, and all prompts so far, in source voxel index.
    limit
        How many windows there may be.
    spacing
        Of a first prompt's windows, mm, in place of the rule's choice.

    Raises
    ------
    OutsideWindow
        It would take more.
    OnlyNegative
        A refinement with nothing but negative points, all of them far from anything known.
    Conflict
        See `planning.check_form`.
    """
    if parent is None:
        found = [first_window(volume, together, at_spacing(rule, spacing))]
        wanted = [point for point, label in zip(new.points, new.labels, strict=True) if label]
    else:
        check_form(parent, rule)
        found = [_moved(volume, parent.window, new, rule)]
        wanted = list(new.points)
    for point in wanted:
        index = np.array([point])
        if any(within(source_to_window(volume.geometry, w, index), w)[0] for w in found):
            continue
        if len(found) == limit:
            raise OutsideWindow(
                f"These points lie in more than {limit} windows: give fewer at once, or raise"
                " max_windows.",
                pointer=f"/points/{new.points.index(point)}",
            )
        found.append(_around(volume, found[0], model_index(volume, found[0], index)[0], rule))
    if parent is not None and new.points and not any(new.labels) and new.box is None:
        found = [window for window in found if _knows(parent.field, window, rule)]
        if not found:
            raise OnlyNegative(
                "Nothing of the mask is near here, so there is nothing to take away.",
                pointer="/points/0",
            )
    return found


def zoomed(volume: VolumeRecord, parent: Parent, spacing: float | None, rule: WindowRule) -> Parent:
    """The parent at another of the bundle's spacings: its field on other cells, in the same place.

    Raises
    ------
    InvalidInput
        The bundle has no such spacing.
    """
    field, window = parent.field, parent.window
    if spacing is None or spacing == field.spacing:
        return parent
    at_spacing(rule, spacing)
    ratio = field.spacing / spacing
    size = model_grid(volume.geometry, spacing).shape
    centre = (np.array(window.start) + window.side / 2) * ratio - 0.5
    other = window_at(size, centre.tolist(), spacing, rule)
    # As many whole patches before and after the window as it takes to hold all that is known.
    low = np.array(field.start) * ratio
    high = low + np.array(field.values.shape) * field.patch / CELLS_PER_PATCH * ratio
    before = np.ceil((np.array(other.start) - low) / rule.patch).astype(int)
    after = np.ceil((high - other.start) / rule.patch).astype(int)
    x, y, z = (np.array(other.start) - before * rule.patch).tolist()
    shape = ((before + after) * CELLS_PER_PATCH).tolist()
    return replace(
        parent, window=other, field=field.resampled(spacing, rule.patch, (x, y, z), shape)
    )


def model_index(volume: VolumeRecord, window: Window, index: Places) -> Places:
    """Model indices [N, 3] of source indices, on the window's grid."""
    return model_grid(volume.geometry, window.spacing).to_model(index)


def _moved(volume: VolumeRecord, window: Window, new: PromptRecord, rule: WindowRule) -> Window:
    """The window, moved along the axes on which the new prompt does not lie well inside of it."""
    places = source_to_window(
        volume.geometry, window, np.array([*new.points, *(new.box or ())]).reshape(-1, 3)
    )
    if not len(places):
        return window
    low, high = places.min(axis=0), places.max(axis=0)
    rim = 0.0 if new.box is not None else RIM * window.side
    stays = (low >= rim - 0.501) & (high <= window.side - rim - 0.499)
    if stays.all():
        return window
    around = _around(volume, window, (low + high) / 2 + window.start, rule)
    start = np.where(stays, window.start, around.start).tolist()
    return Window(window.spacing, (start[0], start[1], start[2]), window.side)


def _around(volume: VolumeRecord, like: Window, place: Places, rule: WindowRule) -> Window:
    """The lattice's window around a model index [3], with cells where those of ``like`` are."""
    size = model_grid(volume.geometry, like.spacing).shape
    start = window_at(size, place.tolist(), like.spacing, rule).start
    return aligned(start, like, rule.patch, size)


def _knows(field: Field, window: Window, rule: WindowRule) -> bool:
    """Whether the field has any of its mask in the window."""
    return bool((field.within(window, rule.cells) > 0).any())
