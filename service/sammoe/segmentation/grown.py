"""What is asked of following, and what came of it: see `sammoe.segmentation.growing`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sammoe.engine import Choice, Route
from sammoe.segmentation.planning import Parent
from sammoe.store import Logits, PromptRecord, VolumeRecord
from sammoe.volume.field import Field
from sammoe.volume.window import Window

MOST_WINDOWS: Final = 64
"""More than this no request may look at."""


@dataclass(frozen=True)
class Extent:
    """How far a request may go.

    Attributes
    ----------
    max_windows
        How many windows may be looked at, 1 to `MOST_WINDOWS`.
    extend
        Whether the mask is followed beyond the windows that the prompt lies in.
    spacing
        Of the model grid, mm, in place of the rule's choice, or of the parent's.
    zoom
        Whether a first prompt of points may be looked at at the next coarser spacing, too, where
        following it would take more than half of the windows: see `sammoe.segmentation.zooming`.
    """

    max_windows: int = 8
    extend: bool = True
    spacing: float | None = None
    zoom: bool = False


@dataclass(frozen=True, eq=False)
class Request:
    """A prompt with its history.

    Attributes
    ----------
    volume
        The scan.
    new, prompt
        What this request brings, and all prompts so far; source voxel index.
    parent
        What is refined, or None.
    choice, extent
        Which decoders, and how far.
    """

    volume: VolumeRecord
    new: PromptRecord
    prompt: PromptRecord
    parent: Parent | None
    choice: Choice
    extent: Extent


@dataclass(frozen=True, eq=False)
class Looked:
    """A window that was looked at; without candidates where there was nothing to see."""

    window: Window
    candidates: Logits
    route: Route
    hit: bool
    phases_ms: dict[str, float]
    kept: bool = True


@dataclass(frozen=True, eq=False)
class Grown:
    """What came of a request.

    Attributes
    ----------
    looked
        Windows in the order of their levels.
    field
        The answer.
    seeds
        How many of the windows the prompt took itself.
    coarse
        Where the structure was looked at at a coarser spacing, and that counts: what was found
        there, on the cells of ``field``, which has the finer windows' answers over it.
    """

    looked: tuple[Looked, ...]
    field: Field
    seeds: int
    coarse: Field | None = None

    @property
    def route(self) -> Route:
        """That of the first window."""
        return self.looked[0].route

    @property
    def encodes(self) -> int:
        """How many windows had to be embedded."""
        return sum(not one.hit for one in self.looked)


Progress = Callable[[Grown], None]
"""Told of each level but the last."""
