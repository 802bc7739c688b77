"""A structure that outgrows its windows, on an engine that sees what is bright."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.engine import GENERAL, Choice, Decoded, DecoderInputs, Route
from sammoe.engine.local import LocalEngine
from sammoe.segmentation import Extent, Grown, Point, Prompt, Segmented, Workspace
from sammoe.segmentation.zooming import boundary, coarser, finer, goes_with
from sammoe.store import EmbeddingCache, LocalStore, VolumeRecord
from sammoe.training.evaluation import dice
from sammoe.volume.field import Field
from sammoe.volume.volume import Modality
from sammoe.volume.window import Window, WindowRule
from tests.scans import AFFINE, as_nifti
from tests.unit.segmentation.conftest import OWNER
from tests.unit.segmentation.engines import WatchedEngine

SHAPE = (60, 240, 50)
CLICK = Prompt((Point(30, 120, 20),))
ZOOM = Extent(max_windows=8, zoom=True)


class SeeingEngine(WatchedEngine):
    """Its masks are what is bright in a window: a few voxels in a window of noise."""

    def __init__(self, engine: LocalEngine) -> None:
        super().__init__(engine)
        self._seen: list[NDArray[np.float32]] = []
        self.blind: set[int] = set()
        """Encodes that show nothing, by their number."""

    async def encode(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        embedding = await super().encode(image)
        side = self.bundle.manifest.window.side
        cells = self.bundle.manifest.window_rule().cells
        blocks = image.reshape(cells, side // cells, cells, side // cells, cells, side // cells)
        # Uniform noise has no voxel above 2 deviations.
        bright = 8 * (blocks.mean(axis=(1, 3, 5)) > 2) - 4
        if self.encodes in self.blind:
            bright[:] = -4
        self._seen.append(bright.astype(np.float32))
        embedding = embedding.copy()
        embedding[0, 0, 0, 0, 0] = len(self._seen)
        return embedding

    async def decode(
        self,
        embedding: NDArray[np.float16],
        inputs: DecoderInputs,
        choice: Choice,
        modality: Modality = Modality.UNKNOWN,
    ) -> Decoded:
        bright = self._seen[int(embedding[0, 0, 0, 0, 0]) - 1]
        return Decoded({"general": bright}, Route(used=GENERAL), 0.0)


@pytest.fixture
def bar() -> NDArray[np.bool_]:
    """A structure of 12 x 180 x 18 mm."""
    mask = np.zeros(SHAPE, bool)
    mask[24:36, 30:210, 14:26] = True
    return mask


@pytest.fixture
async def seeing(
    engine: LocalEngine, store: LocalStore, cache: EmbeddingCache
) -> AsyncIterator[tuple[Workspace, SeeingEngine]]:
    seeing = SeeingEngine(engine)
    workspace = Workspace(seeing, store, cache)
    yield workspace, seeing
    await workspace.close()


@pytest.fixture
async def scan(
    seeing: tuple[Workspace, SeeingEngine], bar: NDArray[np.bool_], tmp_path: Path
) -> VolumeRecord:
    voxels = np.random.default_rng(0).integers(1, 100, SHAPE, dtype=np.int16)
    path = tmp_path / "bar.nii"
    path.write_bytes(as_nifti(np.where(bar, np.int16(2000), voxels), AFFINE))
    record, _ = await seeing[0].volumes.add(OWNER, path, modality="MR")
    return record


def score(made: Segmented, bar: NDArray[np.bool_]) -> float:
    return dice(made.pasted.full(SHAPE).astype(bool), bar)


def codes(made: Segmented) -> list[str]:
    return [doubt.code for doubt in made.record.warnings]


def looked(made: Segmented) -> list[tuple[float, bool]]:
    return [(one.window.spacing, one.kept) for one in made.record.windows]


async def test_what_outgrows_its_windows_is_found_through_coarser_ones(
    seeing: tuple[Workspace, SeeingEngine], scan: VolumeRecord, bar: NDArray[np.bool_]
) -> None:
    workspace, engine = seeing
    seen: list[Grown] = []
    cut = await workspace.segment(OWNER, scan.id, CLICK, extent=Extent(max_windows=6))
    before = engine.encodes
    whole = await workspace.segment(
        OWNER, scan.id, CLICK, extent=replace(ZOOM, max_windows=6), progress=seen.append
    )
    assert "cut_by_window" in codes(cut)
    assert codes(whole) == ["zoomed"]
    assert score(whole, bar) > score(cut, bar)
    assert looked(whole) == [(1.5, True)] * 3 + [(3.0, True)] * 3
    assert whole.record.encodes == engine.encodes - before == 3
    assert [len(grown.looked) for grown in seen] == [1, 3]


async def test_its_boundary_is_looked_at_with_what_is_left(
    seeing: tuple[Workspace, SeeingEngine], scan: VolumeRecord, bar: NDArray[np.bool_]
) -> None:
    workspace, _ = seeing
    seen: list[Grown] = []
    coarse = await workspace.segment(OWNER, scan.id, CLICK, extent=replace(ZOOM, max_windows=6))
    finer = await workspace.segment(OWNER, scan.id, CLICK, extent=ZOOM, progress=seen.append)
    assert looked(finer) == [(1.5, True)] * 3 + [(3.0, True)] * 3 + [(1.5, True)] * 2
    assert score(finer, bar) > score(coarse, bar)
    assert [len(grown.looked) for grown in seen] == [1, 3, 6]
    # What is kept can be gone on from, and its other masks are made in the same way.
    pasted, _ = await workspace.mask(OWNER, finer.record.id, "general")
    np.testing.assert_array_equal(pasted.mask, finer.pasted.mask)
    again = await workspace.segment(
        OWNER, scan.id, Prompt((Point(30, 118, 20),)), parent=finer.record.id, extent=ZOOM
    )
    assert score(again, bar) > 0.98 * score(finer, bar)


async def test_a_coarser_look_that_says_otherwise_counts_for_nothing(
    seeing: tuple[Workspace, SeeingEngine], scan: VolumeRecord
) -> None:
    workspace, engine = seeing
    engine.blind = {4}
    zoomed = await workspace.segment(OWNER, scan.id, CLICK, extent=replace(ZOOM, max_windows=7))
    plain = await workspace.segment(OWNER, scan.id, CLICK, extent=Extent(max_windows=6))
    assert looked(zoomed) == [(1.5, True)] * 3 + [(3.0, False)] + [(1.5, True)] * 3
    assert "zoomed" not in codes(zoomed)
    np.testing.assert_array_equal(zoomed.pasted.mask, plain.pasted.mask)


async def test_only_first_prompts_of_points_that_ask_for_it_are_zoomed(
    seeing: tuple[Workspace, SeeingEngine], scan: VolumeRecord
) -> None:
    workspace, _ = seeing
    plain = await workspace.segment(OWNER, scan.id, CLICK, extent=Extent(max_windows=6))
    stays = await workspace.segment(OWNER, scan.id, CLICK, extent=replace(ZOOM, extend=False))
    box = Prompt(box=((22.0, 30.0, 12.0), (38.0, 210.0, 28.0)))
    boxed = await workspace.segment(OWNER, scan.id, box, extent=replace(ZOOM, spacing=1.5))
    top = await workspace.segment(OWNER, scan.id, CLICK, extent=replace(ZOOM, spacing=3.0))
    refined = await workspace.segment(OWNER, scan.id, CLICK, parent=stays.record.id, extent=ZOOM)
    for made, spacing in ((plain, 1.5), (stays, 1.5), (boxed, 1.5), (top, 3.0), (refined, 1.5)):
        assert {one.window.spacing for one in made.record.windows} == {spacing}


RULE = WindowRule(
    side=32,
    patch=8,
    spacings=(1.5, 3.0),
    default_spacing={"CT": 3.0, "MR": 1.5, "unknown": 1.5},
)
FIRST = Window(1.5, (8, 8, 8), 32)


def test_the_next_coarser_spacing() -> None:
    assert coarser(RULE, 1.5) == 3.0
    assert coarser(RULE, 3.0) is None


def test_a_coarse_field_lies_in_the_same_place_on_finer_cells() -> None:
    values = np.full((16, 16, 16), -3, np.float32)
    values[4:9, 4:9, 4:9] = 3
    coarse = Field(3.0, 8, (2, 0, 4), values)
    fine = finer(coarse, FIRST, RULE.patch)
    assert fine.spacing == 1.5
    assert fine.holds(FIRST)
    # Cell 6 of the coarse field, whose middle is 13 voxels of 3 mm after its start.
    middle = (np.array(coarse.start) + 13) * 3.0 / 1.5 - 0.5
    assert fine.at(middle) > 2.9
    assert np.count_nonzero(fine.values > 0) == pytest.approx(8 * 125, rel=0.3)


def test_agreement_is_that_of_where_both_looked() -> None:
    values = np.full((16, 16, 16), -3, np.float32)
    values[4:10] = 3
    found = Field.of_window(FIRST, values)
    assert goes_with(found, found)
    assert not goes_with(replace(found, values=-values), found)
    none = replace(found, values=np.full_like(values, -3))
    assert not goes_with(none, none)  # nothing is no evidence
    longer = Field(1.5, 8, (8, 8, 8), np.concatenate([values, -values]))
    assert goes_with(longer, found)


def test_windows_along_a_boundary_hold_most_of_what_was_not_seen() -> None:
    values = np.full((64, 16, 16), -3, np.float32)
    values[2:60, 4:12, 4:12] = 3
    field = Field(1.5, 8, (8, 8, 8), values)
    grid = (160, 48, 48)
    found = boundary(field, [FIRST], grid, RULE, 8)
    assert 2 <= len(found) <= 4
    assert all(field.holds(one.window) for one in found)
    assert [one.size for one in found] == sorted((one.size for one in found), reverse=True)
    surface = 58 * 8 * 8 - 56 * 6 * 6
    assert sum(one.size for one in found) > 0.5 * surface
    for one in found:
        (hint,) = one.hints
        place = (hint + one.window.start - field.start + 0.5) / 2
        assert field.values[tuple(place.astype(int))] > 0
    assert len(boundary(field, [FIRST], grid, RULE, 1)) == 1
    assert boundary(field, [FIRST, *(one.window for one in found)], grid, RULE, 8) == []
    doubtful = replace(field, values=np.clip(values, -3, 0.1))
    assert all(not len(one.hints) for one in boundary(doubtful, [FIRST], grid, RULE, 8))
