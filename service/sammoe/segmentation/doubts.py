"""What makes an answer doubtful: warnings with stable codes, as a pure function of the answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from sammoe.bundle import Bundle, Manifest
from sammoe.engine import Route
from sammoe.store import DoubtRecord, PromptRecord, RouteRecord, VolumeRecord
from sammoe.volume.paste import Pasted
from sammoe.volume.volume import Modality
from sammoe.volume.window import Window, model_grid, source_to_window

DoubtCode = Literal[
    "modality_unknown",
    "modality_untrained",
    "mask_empty",
    "box_clipped",
    "cut_by_window",
    "zoomed",
    "prompt_not_met",
    "expert_failed",
    "candidates_disagree",
    "far_from_training",
    "bundle_changed",
]

MODALITY_UNKNOWN: Final = DoubtRecord(
    code="modality_unknown",
    detail="Nothing tells CT from MR here: intensities are used as they are. Add the scan with its"
    " modality, CT or MR.",
)


@dataclass(frozen=True)
class Ends:
    """Where the networks stopped looking.

    ``window``: what they saw, or the last of several windows. ``box_clipped``, ``goes_on``: whether
    the box, and the mask, go on where they ended. ``zoomed``: spacing, mm, of coarser windows that
    a part of the mask is of.
    """

    window: Window
    box_clipped: bool
    goes_on: bool
    zoomed: float | None = None

    @classmethod
    def of_window(
        cls, volume: VolumeRecord, prompt: PromptRecord, window: Window, pasted: Pasted
    ) -> "Ends":
        """Of an answer that one window holds."""
        clipped = _clipped(volume, prompt, window)
        return cls(window, clipped, _touches_window(volume, window, pasted))


def doubts(
    volume: VolumeRecord,
    prompt: PromptRecord,
    ends: Ends,
    pasted: Pasted,
    route: Route | RouteRecord,
    bundle: Bundle,
    parent_bundle: str | None = None,
) -> tuple[DoubtRecord, ...]:
    """Everything that makes an answer doubtful, in a fixed order.

    Parameters
    ----------
    prompt
        All of it so far, source voxel index.
    ends, pasted, route
        Where the networks stopped, the answer's mask, and how it came about.
    bundle
        That answered: its experts' modalities, and the limits of ``agreement`` and ``distance``;
        without a limit there is no such warning.
    parent_bundle
        Digest of the bundle that answered what is refined; None for a first prompt.
    """
    manifest = bundle.manifest
    if volume.modality is Modality.UNKNOWN:
        found = [MODALITY_UNKNOWN]
    else:
        found = list(_untrained(volume, route, manifest))
    if not pasted.mask.size:
        found.append(_doubt("mask_empty", "Nothing was found for this prompt: try another place."))
    width = f"{ends.window.side * ends.window.spacing:g} mm"
    if ends.box_clipped:
        found.append(
            _doubt(
                "box_clipped",
                f"The box goes beyond the {width} window: the mask is cut where that ends.",
            )
        )
    if ends.goes_on:
        found.append(
            _doubt(
                "cut_by_window",
                f"The mask goes on where the {width} window ends: give a box around all of"
                " the structure, or segment it in parts.",
            )
        )
    if ends.zoomed is not None:
        found.append(
            _doubt(
                "zoomed",
                "The structure outgrew its windows: beyond those that were looked at since, the"
                f" mask is as coarse as a look at {ends.zoomed:g} mm makes it.",
            )
        )
    missed = _missed(prompt, pasted)
    if missed:
        found.append(
            _doubt(
                "prompt_not_met",
                f"{missed} of {len(prompt.points)} points are on the wrong side of the mask: add"
                " points near them, or look at the other candidates.",
            )
        )
    found.extend(_doubted_by_route(route, manifest))
    if parent_bundle not in {None, bundle.digest}:
        found.append(
            _doubt(
                "bundle_changed",
                "Another bundle is served since the mask that this one refines: more may have"
                " changed than was asked for.",
            )
        )
    return tuple(found)


def _doubt(code: DoubtCode, detail: str) -> DoubtRecord:
    return DoubtRecord(code=code, detail=detail)


def _untrained(
    volume: VolumeRecord, route: Route | RouteRecord, manifest: Manifest
) -> Iterator[DoubtRecord]:
    for expert in manifest.experts:
        if expert.name == route.used and volume.modality.value not in expert.modalities:
            yield _doubt(
                "modality_untrained",
                f"The expert {expert.name} was trained on {' and '.join(expert.modalities)}, and"
                f" this is {volume.modality.value}: compare with the general decoder.",
            )


def _clipped(volume: VolumeRecord, prompt: PromptRecord, window: Window) -> bool:
    """Whether the box goes beyond the window."""
    if prompt.box is None:
        return False
    corners = source_to_window(volume.geometry, window, np.array(prompt.box))
    return bool(corners.min() < -0.5 or corners.max() > window.side - 0.5)


def _touches_window(volume: VolumeRecord, window: Window, pasted: Pasted) -> bool:
    """Whether the mask has a voxel next to a face of the window within the volume."""
    if not pasted.mask.size:
        return False
    grid = model_grid(volume.geometry, window.spacing)
    for axis in range(3):
        source = grid.axes[axis]
        count = volume.shape[source]
        voxel = grid.axis_to_model(axis, np.arange(count)) - window.start[axis]
        inside = np.flatnonzero((voxel >= -0.5) & (voxel <= window.side - 0.5))
        first = pasted.offset[source]
        last = first + pasted.mask.shape[source] - 1
        if 0 < first == inside[0] or count - 1 > last == inside[-1]:
            return True
    return False


def _missed(prompt: PromptRecord, pasted: Pasted) -> int:
    """How many points are on the wrong side of the mask, each in the voxel nearest to it."""
    missed = 0
    for point, label in zip(prompt.points, prompt.labels, strict=True):
        # Half a voxel before the first centre still lies in the first voxel.
        voxel = np.floor(np.array(point) + 0.5).astype(int) - pasted.offset
        within = bool(((voxel >= 0) & (voxel < pasted.mask.shape)).all())
        missed += (within and bool(pasted.mask[tuple(voxel)])) != bool(label)
    return missed


def _doubted_by_route(route: Route | RouteRecord, manifest: Manifest) -> Iterator[DoubtRecord]:
    agreement, distance = manifest.routing.agreement, manifest.routing.distance
    if route.check == "failed":
        yield _doubt(
            "expert_failed",
            f"The expert {route.top} should have answered and gave no mask, so this is the general"
            " decoder's: ask again later, and tell who runs the service.",
        )
    if agreement is not None and route.agreement is not None and route.agreement < agreement:
        yield _doubt(
            "candidates_disagree",
            f"The general mask and that of the expert {route.top} differ (Dice"
            f" {route.agreement:.2f}): look at both.",
        )
    if distance is not None and route.distance is not None and route.distance > distance:
        yield _doubt(
            "far_from_training",
            f"This prompt is unlike those that the model was tested with (distance"
            f" {route.distance:.2f}, usual up to {distance:.2f}): check the mask with care.",
        )
