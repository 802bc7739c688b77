"""From a prompt and its history to a window and the decoder's inputs: pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sammoe.engine import GENERAL, DecoderInputs, Route, clip_logits, decoder_inputs
from sammoe.errors import Conflict, InvalidInput, OutsideWindow
from sammoe.segmentation.mapped_boxes import box_as_click_and_prior
from sammoe.segmentation.prompt import Prompt, merge
from sammoe.store import GIVEN, Logits, PromptRecord, RouteRecord, VolumeRecord
from sammoe.volume.field import Field
from sammoe.volume.window import (
    Window,
    WindowRule,
    source_to_window,
    window_for_box,
    window_for_point,
)

Places = NDArray[np.float64]
"""Window voxel indices [N, 3], canonical axis order."""


@dataclass(frozen=True, eq=False)
class Parent:
    """What is refined.

    Attributes
    ----------
    prompt
        All clicks so far.
    window
        The one that served the last of them.
    field
        Its answer.
    bundle
        Digest of the bundle that answered.
    experts
        Experts that this bundle is known to have had.
    scores
        What its gate scored the answer, one for each of its experts; none where it was not asked,
        or where another mask than the answer is refined: then somebody knows better than the gate.
    """

    prompt: PromptRecord
    window: Window
    field: Field
    bundle: str = ""
    experts: frozenset[str] = frozenset()
    scores: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Plan:
    """What to decode: ``prompt`` holds all clicks so far."""

    prompt: PromptRecord
    window: Window
    inputs: DecoderInputs


def plan(
    volume: VolumeRecord, parent: Parent | None, prompt: Prompt, rule: WindowRule, *, boxes: bool
) -> Plan:
    """Plan a click that stays in one window.

    A function of the click and its history alone, never of what happens to be cached. A first
    click takes the box's window, else the one around the middle of the positive points at the
    modality's default spacing. A refinement keeps its parent's window, gets all clicks so far, and
    the parent's answer as prior, clipped to ``LOGIT_LIMIT``.

    Parameters
    ----------
    boxes
        See `plan_window`.

    Raises
    ------
    PromptInvalid, TooLarge
        See `Prompt.to_index` and `merge`.
    OutsideWindow
        A point of this prompt, or the whole of its box, lies outside of the window.
    Conflict
        The parent was made by a bundle whose windows have another form.
    """
    new = prompt.to_index(volume.geometry)
    together = merge(parent.prompt if parent else None, new)
    if parent is None:
        window, field = first_window(volume, together, rule), None
    else:
        check_form(parent, rule)
        window, field = parent.window, parent.field
    _check_inside(volume, window, new)
    return plan_window(volume, window, together, field, rule, boxes=boxes, new_box=bool(new.box))


def plan_window(
    volume: VolumeRecord,
    window: Window,
    prompt: PromptRecord,
    field: Field | None,
    rule: WindowRule,
    *,
    boxes: bool,
    new_box: bool = False,
    hints: Places | None = None,
) -> Plan:
    """Plan the decode of one window: what of a prompt lies in it, and what is known there.

    For decoders that know no boxes, one is mapped to a click and, in the request that brings it, a
    prior; see `sammoe.segmentation.mapped_boxes`. To the gate it counts as the click.

    Parameters
    ----------
    prompt
        All clicks so far; points outside of the window are left out, a box is cut to it.
    field
        What is known: the prior, clipped to ``LOGIT_LIMIT``; 0 where nothing is.
    boxes
        Whether decoders get a box as such, which needs a bundle that has embeddings for boxes
        (``manifest.model.boxes``); else it is mapped.
    new_box
        Whether this request brings the box.
    hints
        Further positive clicks, which nobody made.
    """
    index = np.array([*prompt.points, *(prompt.box or ())]).reshape(-1, 3)
    places = source_to_window(volume.geometry, window, index)
    points, corners = np.split(places, [len(prompt.points)])
    inside = within(points, window)
    points, labels = points[inside], np.array(prompt.labels, dtype=np.int32)[inside]
    if hints is not None:
        points = np.vstack([points, hints])
        labels = np.append(labels, np.ones(len(hints), np.int32))
    prior = None
    if field is not None:
        known = field.within(window, rule.cells)
        prior = clip_logits(np.where(np.isnan(known), np.float32(0), known))
    box = None
    if len(corners):
        lo, hi = corners.min(axis=0), corners.max(axis=0)
        box = (lo, hi) if overlaps(lo, hi, window) else None
    if box is not None and not boxes:
        middle, ellipsoid = box_as_click_and_prior(box, rule)
        points, labels = np.vstack([points, middle]), np.append(labels, np.int32(1))
        prior, box = ellipsoid if new_box else prior, None
    return Plan(prompt, window, decoder_inputs(points, labels, box, prior, rule))


def first_window(volume: VolumeRecord, prompt: PromptRecord, rule: WindowRule) -> Window:
    """Window of a segmentation's first prompt, which has a positive point or a box."""
    if prompt.box is not None:
        return window_for_box(volume.geometry, *prompt.box, volume.modality, rule)
    clicks = zip(prompt.points, prompt.labels, strict=True)
    positive = np.array([point for point, label in clicks if label])
    middle = (positive.min(axis=0) + positive.max(axis=0)) / 2
    return window_for_point(volume.geometry, middle.tolist(), volume.modality, rule)


def window_to_warm(
    volume: VolumeRecord, prompt: Prompt | None, spacing: float | None, rule: WindowRule
) -> Window:
    """Window of the first click that is expected: see `Workspace.warm`."""
    if prompt is None:
        i, j, k = ((n - 1) / 2 for n in volume.shape)
        clicks = PromptRecord(points=((i, j, k),), labels=(1,))
    else:
        clicks = merge(None, prompt.to_index(volume.geometry))
    return first_window(volume, clicks, at_spacing(rule, spacing))


def at_spacing(rule: WindowRule, spacing: float | None) -> WindowRule:
    """The rule with one of its spacings alone; with all of them where ``spacing`` is None.

    Raises
    ------
    InvalidInput
        It is none of them.
    """
    if spacing is None:
        return rule
    if spacing not in rule.spacings:
        known = ", ".join(f"{known:g}" for known in rule.spacings)
        raise InvalidInput(f"The bundle has spacings of {known} mm.", pointer="/spacing")
    snap_mm = None if rule.snap_mm is None else (rule.snap_mm[rule.spacings.index(spacing)],)
    default = dict.fromkeys(rule.default_spacing, spacing)
    return replace(rule, spacings=(spacing,), default_spacing=default, snap_mm=snap_mm)


def answer(candidates: Logits, route: Route | RouteRecord) -> NDArray[np.float32]:
    """Pick the logits that are the answer: what the route says, whatever else was computed."""
    return candidates[answer_name(candidates, route)]


def answer_name(candidates: Iterable[str], route: Route | RouteRecord) -> str:
    """Name of the candidate that is the answer."""
    if route.fused:
        return "fused"
    return "general" if route.used == GENERAL else route.used if route.used == GIVEN else "expert"


def check_form(parent: Parent, rule: WindowRule) -> None:
    """Refuse a parent whose windows are not those of the rule.

    Raises
    ------
    Conflict
        It was made by a bundle whose windows have another form.
    """
    kept, field = parent.window, parent.field
    fits = kept.spacing in rule.spacings and kept.side == rule.side
    if not fits or field.patch != rule.patch or not field.holds(kept):
        raise Conflict(
            "The parent was made with another bundle, whose windows differ: start a new"
            " segmentation.",
            pointer="/parent",
        )


def within(places: Places, window: Window) -> NDArray[np.bool_]:
    """Which of some places [N, 3] lie in the window, its outer faces included: bool [N]."""
    low, high = _faces(window)
    return np.asarray(((places >= low) & (places <= high)).all(axis=1))


def overlaps(lo: Places, hi: Places, window: Window) -> bool:
    """Whether a box's corners [3], window voxels, have a part of the window between them."""
    low, high = _faces(window)
    return bool((hi >= low).all() and (lo <= high).all())


def _check_inside(volume: VolumeRecord, window: Window, new: PromptRecord) -> None:
    width = f"{window.side * window.spacing:g} mm window that the segmentation covers"
    points = source_to_window(volume.geometry, window, np.array(new.points).reshape(-1, 3))
    inside = within(points, window)
    if not inside.all():
        raise OutsideWindow(
            f"This point is outside of the {width}: start a new segmentation there.",
            pointer=f"/points/{int(inside.argmin())}",
        )
    if new.box is not None:
        corners = source_to_window(volume.geometry, window, np.array(new.box))
        if not overlaps(corners.min(axis=0), corners.max(axis=0), window):
            raise OutsideWindow(
                f"The box is outside of the {width}: start a new segmentation there.",
                pointer="/box",
            )


def _faces(window: Window) -> tuple[float, float]:
    """Half a voxel beyond the outermost centres, and what rounding may add on the way there."""
    return -0.501, window.side - 0.499
