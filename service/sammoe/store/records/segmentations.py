"""Records of answers: what was asked, where was looked, what came of it."""

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic import Field as Member

from sammoe.store.records.base import Closed, DoubtRecord, Record
from sammoe.volume.field import Field
from sammoe.volume.window import Window

Triple = tuple[float, float, float]

Logits = Mapping[str, NDArray[np.float32]]
"""Candidate name -> logits float32 [L, L, L] of one window, canonical axis order."""

Fields = Mapping[str, Field]
"""Candidate name -> its field."""


class PromptRecord(Closed):
    """All prompts so far, in source voxel index; ``box`` holds its first and last corner."""

    points: tuple[Triple, ...] = ()
    labels: tuple[Literal[0, 1], ...] = ()
    box: tuple[Triple, Triple] | None = None


class ChoiceRecord(Closed):
    """What was asked of the mixture: ``auto``, ``general`` or an expert, and perhaps a tau."""

    model_config = ConfigDict(from_attributes=True)

    expert: str
    tau: float | None


GIVEN: Final = "given-mask"
"""In a route: no decoder made the mask, somebody brought it. No expert can be called so."""


class RouteRecord(Closed):
    """What the gate said and what came of it; the fields of `sammoe.engine.Route`.

    ``rival``: see `sammoe.segmentation.rivals`. Where there is none nothing is written down, as
    in records of earlier versions of the program, which do not read it.
    """

    model_config = ConfigDict(from_attributes=True)

    used: str
    fused: bool
    scores: dict[str, float]
    top: str | None
    s_top: float | None
    tau: float | None
    check: str | None
    agreement: float | None = None
    distance: float | None = None
    rival: str | None = Member(default=None, exclude_if=lambda rival: rival is None)


class WindowRecord(Closed):
    """A window that was looked at.

    Attributes
    ----------
    window
        Where it lies.
    candidates
        Names of the masks that were computed in it; in records of version 1 in the file's order.
    cells
        Side L of each.
    kept
        Whether its answer became part of the segmentation: a neighbour's that contradicts what was
        known does not.
    """

    window: Window
    candidates: tuple[str, ...]
    cells: int
    kept: bool = True


class FieldRecord(Closed):
    """Where candidates that were computed in the same windows lie in the file.

    They are cut into cubic blocks of cells, and only blocks of which something is known are kept:
    of each candidate in turn, each block in turn, [b, b, b], NaN where nothing is known.

    Attributes
    ----------
    candidates
        Their names.
    spacing, patch
        As in `sammoe.volume.field.Field`.
    start
        Model voxel at which block (0, 0, 0) begins.
    side
        Cells along a block's side, b.
    blocks
        Each block's place, in blocks; may be negative.
    """

    candidates: tuple[str, ...]
    spacing: float
    patch: int
    start: tuple[int, int, int]
    side: int
    blocks: tuple[tuple[int, int, int], ...]


class ExtentRecord(Closed):
    """How far a request may go: at most so many windows; ``extend``: beyond its own at all.

    ``spacing``: of the model grid, mm, where the request says one. ``zoom``: whether it might look
    through coarser windows, too.
    """

    model_config = ConfigDict(from_attributes=True)

    max_windows: int
    extend: bool
    spacing: float | None = None
    zoom: bool = False


class SegmentationRecord(Record):
    """One immutable answer; the logits lie in the same file.

    Attributes
    ----------
    parent
        Id of the segmentation that this one refines, or None.
    prompt
        All clicks so far.
    windows
        Those of this request, in the order in which they were looked at; the first is the one
        that the next click starts from.
    fields
        What the file holds. None in records of version 1: their file holds the candidates of
        their one window.
    encodes
        How many windows had to be embedded for it.
    seeds
        How many of the windows the prompt took itself; the others were followed to.
    refined
        Which of the parent's masks was refined.
    extent
        How far it might go; None in records of version 1, which had one window.
    bundle_digest
        Of the bundle that answered.
    timings_ms
        Phase -> milliseconds, of the phases before this record was written.
    voxel_count
        Voxels of the answer on the volume's own grid.
    warnings
        What makes the answer doubtful; earlier versions of the program kept none.
    """

    versions = (1, 2)

    schema_version: int = 2
    id: str
    volume_id: str
    parent: str | None
    prompt: PromptRecord
    windows: tuple[WindowRecord, ...]
    fields: tuple[FieldRecord, ...] | None = None
    encodes: int = 0
    seeds: int = 1
    refined: str = "fused"
    extent: ExtentRecord | None = None
    route: RouteRecord
    choice: ChoiceRecord
    bundle_digest: str
    timings_ms: dict[str, float]
    voxel_count: int
    warnings: tuple[DoubtRecord, ...] = ()

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of the masks that are kept."""
        if self.fields is None:
            return self.windows[0].candidates
        return tuple(name for place in self.fields for name in place.candidates)

    @property
    def experts(self) -> set[str]:
        """Experts that its bundle is known to have had: named, or scored by the gate."""
        return {self.choice.expert, *self.route.scores}
