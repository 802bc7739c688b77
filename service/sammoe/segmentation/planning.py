"""From a prompt and its history to a window and the decoder's inputs: pure functions."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sammoe.engine import GENERAL, DecoderInputs, Route, clip_logits, decoder_inputs
from sammoe.errors import Conflict, InvalidInput, OutsideWindow
from sammoe.segmentation.mapped_boxes import box_as_click_and_prior
from sammoe.segmentation.prompt import Prompt, Triple, merge
from sammoe.store import Logits, PromptRecord, RouteRecord, SegmentationRecord, VolumeRecord
from sammoe.volume.window import (
    Window,
    WindowRule,
    source_to_window,
    window_for_box,
    window_for_point,
)


@dataclass(frozen=True, eq=False)
class Parent:
    """The segmentation that is refined, with its logits."""

    record: SegmentationRecord
    logits: list[Logits]


@dataclass(frozen=True, eq=False)
class Plan:
    """What to decode.

    Attributes
    ----------
    prompt
        All clicks so far.
    parent_bundle
        Digest of the bundle that answered the parent; None without one.
    """

    prompt: PromptRecord
    window: Window
    inputs: DecoderInputs
    parent_bundle: str | None


def plan(
    volume: VolumeRecord, parent: Parent | None, prompt: Prompt, rule: WindowRule, *, boxes: bool
) -> Plan:
    """Decide which window serves a click, and what the decoder gets.

    A function of the click and its history alone, never of what happens to be cached. A first
    click takes the box's window, else the one around the middle of the positive points at the
    modality's default spacing. A refinement keeps its parent's window, gets all clicks so far, and
    the parent's answer as prior, clipped to ``LOGIT_LIMIT``.

    For decoders that know no boxes, one is mapped to a click and, in the request that brings it, a
    prior; see `sammoe.segmentation.mapped_boxes`. To the gate it counts as the click.

    Parameters
    ----------
    boxes
        Whether decoders get a box as such, which needs a bundle that has embeddings for boxes
        (``manifest.model.boxes``); else it is mapped.

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
    together = merge(parent.record.prompt if parent else None, new)
    if parent is None:
        window, prior = first_window(volume, together, rule), None
    else:
        window, prior = _window_and_prior(parent, rule)
    index = np.array([*together.points, *(together.box or ())]).reshape(-1, 3)
    places = source_to_window(volume.geometry, window, index)
    points, corners = np.split(places, [len(together.points)])
    _check_points(points, together.points, new.points, window)
    box = None
    if together.box is not None:
        box = (corners.min(axis=0), corners.max(axis=0))
        _check_box(*box, window)
    labels = np.array(together.labels, dtype=np.int32)
    if box is not None and not boxes:
        middle, ellipsoid = box_as_click_and_prior(box, rule)
        points, labels = np.vstack([points, middle]), np.append(labels, np.int32(1))
        prior, box = ellipsoid if new.box is not None else prior, None
    inputs = decoder_inputs(points, labels, box, prior, rule)
    return Plan(together, window, inputs, parent.record.bundle_digest if parent else None)


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
    if spacing is not None:
        if spacing not in rule.spacings or clicks.box is not None:
            known = ", ".join(f"{known:g}" for known in rule.spacings)
            raise InvalidInput(
                f"The bundle has spacings of {known} mm; a box takes none.", pointer="/spacing"
            )
        rule = replace(rule, default_spacing=dict.fromkeys(rule.default_spacing, spacing))
    return first_window(volume, clicks, rule)


def answer(candidates: Logits, route: Route | RouteRecord) -> NDArray[np.float32]:
    """Pick the logits that are the answer: what the route says, whatever else was computed."""
    if route.fused:
        return candidates["fused"]
    return candidates["general" if route.used == GENERAL else "expert"]


def _window_and_prior(parent: Parent, rule: WindowRule) -> tuple[Window, NDArray[np.float32]]:
    kept = parent.record.windows[0]
    fits = kept.window.spacing in rule.spacings and kept.window.side == rule.side
    if not fits or kept.cells != rule.cells:
        raise Conflict(
            "The parent was made with another bundle, whose windows differ: start a new"
            " segmentation.",
            pointer="/parent",
        )
    return kept.window, clip_logits(answer(parent.logits[0], parent.record.route))


def _check_points(
    places: NDArray[np.float64],
    points: tuple[Triple, ...],
    new: tuple[Triple, ...],
    window: Window,
) -> None:
    low, high = _faces(window)
    outside = (places < low).any(axis=1) | (places > high).any(axis=1)
    if outside.any():
        number = new.index(points[int(outside.argmax())])
        raise OutsideWindow(
            f"This point is outside of the {window.side * window.spacing:g} mm window that the"
            " segmentation covers: start a new segmentation there.",
            pointer=f"/points/{number}",
        )


def _check_box(lo: NDArray[np.float64], hi: NDArray[np.float64], window: Window) -> None:
    low, high = _faces(window)
    if (hi < low).any() or (lo > high).any():
        raise OutsideWindow(
            f"The box is outside of the {window.side * window.spacing:g} mm window that the"
            " segmentation covers: start a new segmentation there.",
            pointer="/box",
        )


def _faces(window: Window) -> tuple[float, float]:
    """Half a voxel beyond the outermost centres, and what rounding may add on the way there."""
    return -0.501, window.side - 0.499
