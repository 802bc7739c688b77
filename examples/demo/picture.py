"""The overlay: three planes through the structure, with mask, reference and clicks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from examples.demo.report import Click
from examples.demo.structures import Template, to_index

_BACKGROUND: Final = "#0e1116"
_TEXT: Final = "#d7dde5"
_MASK: Final = "#37d5c8"
_REFERENCE: Final = "#ffb454"
_COLOURS: Final = {True: "#7ee787", False: "#ff7b72"}
_OUTLINE: Final = [withStroke(linewidth=1.8, foreground="black")]
_MARGIN: Final = 40
"""Voxels shown around the structure, at least."""

_Across = Literal["left", "center", "right"]
_Upright = Literal["bottom", "center", "top"]

_NEAR: Final = 2.5
"""A click this close to a plane, in voxels, is drawn filled on it, others hollow."""

# Axis across, axis up, and what lies at left, right, bottom, top: radiological convention would
# mirror left and right; these are as the volume's axes (RAS) run.
_PLANES: Final = (
    ("axial", 2, ("L", "R", "P", "A")),
    ("coronal", 1, ("L", "R", "I", "S")),
    ("sagittal", 0, ("P", "A", "I", "S")),
)


def draw(
    path: Path,
    template: Template,
    reference: NDArray[np.bool_],
    clicks: Sequence[Click],
    title: str,
) -> None:
    """Write the picture of the last answer as a PNG file."""
    mask = clicks[-1].answer.mask
    places = np.array([to_index(click.place, template.affine) for click in clicks])
    shown = np.argwhere(mask | reference)
    low, high = shown.min(axis=0) - _MARGIN, shown.max(axis=0) + _MARGIN
    centre = np.argwhere(reference).mean(axis=0).round().astype(int)
    half = int((high - low).max() // 2)
    middle = (low + high) // 2
    with mpl.rc_context({"font.family": "DejaVu Sans", "text.color": _TEXT}):
        figure = Figure(figsize=(13.5, 5.3), facecolor=_BACKGROUND)
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.012, y=0.965, ha="left", fontsize=15, fontweight="bold")
        for column, (name, axis, letters) in enumerate(_PLANES):
            axes = figure.add_axes((0.008 + column * 0.331, 0.09, 0.322, 0.80))
            across, up = (other for other in range(3) if other != axis)
            plane = [slice(None)] * 3
            plane[axis] = slice(int(centre[axis]), int(centre[axis]) + 1)
            _plane(axes, template.scan[tuple(plane)].squeeze(axis), "image")
            _plane(axes, reference[tuple(plane)].squeeze(axis), "reference")
            _plane(axes, mask[tuple(plane)].squeeze(axis), "mask")
            for click, place in zip(clicks, places, strict=True):
                near = abs(place[axis] - centre[axis]) <= _NEAR
                _mark(axes, place[across], place[up], positive=click.positive, near=near)
            axes.set_xlim(middle[across] - half, middle[across] + half)
            axes.set_ylim(middle[up] - half, middle[up] + half)
            _letters(axes, letters)
            height = template.affine[axis, axis] * centre[axis] + template.affine[axis, 3]
            _write(axes, 0.02, 0.975, f"{name}  {height:+.0f} mm", "left", "top")
        figure.legend(
            handles=_legend(),
            loc="lower center",
            ncols=5,
            frameon=False,
            labelcolor=_TEXT,
            bbox_to_anchor=(0.5, 0.0),
        )
        figure.savefig(path, dpi=110)


def _plane(axes: Axes, values: NDArray[np.generic], kind: str) -> None:
    if kind == "image":
        axes.imshow(values.T, cmap="gray", origin="lower", interpolation="bilinear", vmin=0)
        axes.set_facecolor("black")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    elif values.any():
        colour, style = (_MASK, "solid") if kind == "mask" else (_REFERENCE, "dashed")
        field = values.T.astype(float)
        if kind == "mask":
            axes.contourf(field, levels=[0.5, 2.0], colors=[colour], alpha=0.28)
        axes.contour(field, levels=[0.5], colors=[colour], linewidths=1.7, linestyles=style)


def _mark(axes: Axes, x: float, y: float, *, positive: bool, near: bool) -> None:
    axes.plot(
        x,
        y,
        marker="o" if positive else "X",
        markersize=10,
        markerfacecolor=_COLOURS[positive] if near else "none",
        markeredgecolor=_COLOURS[positive],
        markeredgewidth=1.8,
        path_effects=[withStroke(linewidth=3.2, foreground="black")],
    )


def _letters(axes: Axes, letters: tuple[str, str, str, str]) -> None:
    left, right, bottom, top = letters
    _write(axes, 0.02, 0.5, left, "left", "center")
    _write(axes, 0.98, 0.5, right, "right", "center")
    _write(axes, 0.5, 0.02, bottom, "center", "bottom")
    _write(axes, 0.5, 0.975, top, "center", "top")


def _write(
    axes: Axes, x: float, y: float, text: str, horizontal: _Across, vertical: _Upright
) -> None:
    axes.text(
        x,
        y,
        text,
        transform=axes.transAxes,
        horizontalalignment=horizontal,
        verticalalignment=vertical,
        path_effects=_OUTLINE,
    )


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], color=_MASK, linewidth=2, label="answer"),
        Line2D([], [], color=_REFERENCE, linewidth=2, linestyle="dashed", label="reference"),
        Line2D([], [], color=_COLOURS[True], marker="o", linestyle="none", label="click inside"),
        Line2D([], [], color=_COLOURS[False], marker="X", linestyle="none", label="click outside"),
        Line2D(
            [],
            [],
            color=_TEXT,
            marker="o",
            markerfacecolor="none",
            linestyle="none",
            label="hollow: in another slice",
        ),
    ]
