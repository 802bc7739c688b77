"""Segmentations of more than one window, on a real engine and a real store.

The general decoder draws a ball of 9 mm around each positive click, and adds a quarter of the
prior.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sammoe.engine import Choice, Decoded, DecoderInputs, Route
from sammoe.engine.local import LocalEngine
from sammoe.errors import InvalidInput, NoForeground, OutsideWindow
from sammoe.segmentation import Extent, Grown, Point, Prompt, Segmented, Workspace
from sammoe.segmentation.growing import _continuing
from sammoe.store import EmbeddingCache, LocalStore, VolumeRecord
from sammoe.volume.packed import pack
from sammoe.volume.volume import Modality
from tests.scans import AFFINE, as_nifti, nifti
from tests.unit.segmentation.conftest import OWNER
from tests.unit.segmentation.engines import WatchedEngine

SHAPE = (60, 150, 50)
FIRST = (30, 36, 20)
"""In the middle of a window that ends near j = 60."""

FAR = (30, 110, 20)
TWO = Prompt((Point(30, 24, 20), Point(30, 54, 20)))
"""The second click's ball goes on in the next window."""


@pytest.fixture
async def long(workspace: Workspace, tmp_path: Path) -> VolumeRecord:
    """A scan of 150 mm from front to back, three windows."""
    path = tmp_path / "long.nii"
    path.write_bytes(nifti(shape=SHAPE))
    record, _ = await workspace.volumes.add(OWNER, path, modality="MR")
    return record


@pytest.fixture
async def watched(
    engine: LocalEngine, store: LocalStore, cache: EmbeddingCache
) -> AsyncIterator[tuple[Workspace, WatchedEngine]]:
    """The same workspace on an engine that counts."""
    watched = WatchedEngine(engine)
    workspace = Workspace(watched, store, cache)
    yield workspace, watched
    await workspace.close()


def holds(made: Segmented, *places: tuple[int, int, int]) -> list[bool]:
    """Whether each voxel is in the mask."""
    mask = made.pasted.full(SHAPE)
    return [bool(mask[place]) for place in places]


async def test_click_elsewhere_adds_to_the_mask(workspace: Workspace, long: VolumeRecord) -> None:
    first = await workspace.segment(OWNER, long.id, Prompt((Point(*FIRST),)))
    second = await workspace.segment(OWNER, long.id, Prompt((Point(*FAR),)), parent=first.record.id)
    assert holds(second, FIRST, FAR) == [True, True]
    assert second.record.voxel_count > 1.8 * first.record.voxel_count
    (window,) = second.record.windows
    assert window.window != first.record.windows[0].window
    # And back again, where the first mask is the prior; undo is the parent, as ever.
    third = await workspace.segment(
        OWNER,
        long.id,
        Prompt((Point(30, 40, 20, positive=False),)),
        parent=second.record.id,
    )
    assert holds(third, FIRST, FAR, (30, 40, 20)) == [True, True, False]
    assert (await workspace.undo(OWNER, third.record.id)) == second.record


async def test_confirmed_voxels_stay_when_another_window_overlaps(
    workspace: Workspace, long: VolumeRecord
) -> None:
    parent = None
    clicks: list[tuple[int, int, int]] = []
    for j in (36, 58, 80, 102, 124, 70, 48):
        made = await workspace.segment(
            OWNER,
            long.id,
            Prompt((Point(30, j, 20),)),
            parent=parent,
            extent=Extent(extend=False),
        )
        parent, clicks = made.record.id, [*clicks, (30, j, 20)]
        assert all(holds(made, *clicks))


async def test_mask_is_followed_and_counted(
    watched: tuple[Workspace, WatchedEngine], long: VolumeRecord
) -> None:
    workspace, engine = watched
    stays = await workspace.segment(OWNER, long.id, TWO, extent=Extent(extend=False))
    assert (len(stays.record.windows), stays.record.encodes, engine.encodes) == (1, 1, 1)
    assert "cut_by_window" in [doubt.code for doubt in stays.record.warnings]
    seen: list[Grown] = []
    follows = await workspace.segment(OWNER, long.id, TWO, progress=seen.append)
    record = follows.record
    assert len(record.windows) == 2
    assert (record.encodes, record.seeds, engine.encodes) == (1, 1, 2)
    assert follows.timings.phases_ms["follow"] > 0
    assert "cut_by_window" not in [doubt.code for doubt in record.warnings]
    assert record.voxel_count > stays.record.voxel_count
    assert [len(grown.looked) for grown in seen] == [1]
    only = await workspace.segment(OWNER, long.id, TWO, extent=Extent(max_windows=1))
    assert only.record.windows == stays.record.windows


async def test_the_clicks_expert_alone_may_answer_further_on(
    mixture: LocalEngine, store: LocalStore, cache: EmbeddingCache, tmp_path: Path
) -> None:
    engine, path = WatchedEngine(mixture), tmp_path / "long.nii"
    path.write_bytes(nifti(shape=SHAPE))
    workspace = Workspace(engine, store, cache)
    volume, _ = await workspace.volumes.add(OWNER, path, modality="MR")

    made = await workspace.segment(OWNER, volume.id, TWO, tau=0.2)

    route = made.record.route
    assert route.fused
    first, *further = engine.choices
    assert first == Choice(tau=0.2)
    assert further == (len(made.record.windows) - 1) * [Choice(tau=0.2, only=route.used)]
    assert further
    await workspace.close()


def test_a_rival_that_won_is_found_by_the_gate_again() -> None:
    scores = {"cord": 0.6, "lesion": 0.1}
    won = Route(used="lesion", fused=True, scores=scores, s_top=0.6)

    assert _continuing(Choice(tau=0.2), won) == Choice(tau=0.2)
    best = replace(won, used="cord")
    assert _continuing(Choice(tau=0.2), best) == Choice(tau=0.2, only="cord")
    assert _continuing(Choice(), Route(used="general", scores=scores, s_top=0.6)) == Choice(
        "general"
    )


async def test_refinement_of_a_followed_mask_keeps_what_was_found(
    workspace: Workspace, long: VolumeRecord
) -> None:
    first = await workspace.segment(OWNER, long.id, TWO)
    bite = Prompt((Point(30, 24, 26, positive=False),))
    second = await workspace.segment(OWNER, long.id, bite, parent=first.record.id)
    places = (30, 24, 20), (30, 54, 20), (30, 61, 20), (30, 24, 26)
    assert holds(second, *places) == [True, True, True, False]


async def test_refinement_at_another_spacing_keeps_the_mask_in_its_place(
    workspace: Workspace, long: VolumeRecord
) -> None:
    first = await workspace.segment(OWNER, long.id, TWO, extent=Extent(spacing=3.0))
    assert {window.window.spacing for window in first.record.windows} == {3.0}
    bite = Prompt((Point(30, 24, 26, positive=False),))
    second = await workspace.segment(
        OWNER, long.id, bite, parent=first.record.id, extent=Extent(extend=False, spacing=1.5)
    )
    assert {window.window.spacing for window in second.record.windows} == {1.5}
    assert holds(second, (30, 24, 20), (30, 54, 20), (30, 24, 26)) == [True, True, False]
    with pytest.raises(InvalidInput, match="spacings"):
        await workspace.segment(
            OWNER, long.id, bite, parent=first.record.id, extent=Extent(spacing=2.0)
        )
    # A candidate is made from the same: the parent at the spacing that was asked for.
    pasted, _ = await workspace.mask(OWNER, second.record.id, "general")
    np.testing.assert_array_equal(pasted.mask, second.pasted.mask)


async def test_box_beyond_a_window_is_covered(workspace: Workspace, long: VolumeRecord) -> None:
    box = Prompt(box=((22.0, 10.0, 14.0), (38.0, 140.0, 26.0)))
    made = await workspace.segment(OWNER, long.id, box)
    assert made.record.windows[0].window.spacing == 3.0
    assert len(made.record.windows) == 3
    assert [doubt.code for doubt in made.record.warnings] == []
    assert holds(made, (30, 14, 20), (30, 75, 20), (30, 136, 20)) == [True] * 3
    less = await workspace.segment(OWNER, long.id, box, extent=Extent(max_windows=2))
    assert "box_clipped" in [doubt.code for doubt in less.record.warnings]


class ShuffledEngine(WatchedEngine):
    """Answers of one level come in another order each time."""

    turn = 0

    async def decode(
        self,
        embedding: np.ndarray,
        inputs: DecoderInputs,
        choice: Choice,
        modality: Modality = Modality.UNKNOWN,
    ) -> Decoded:
        self.turn += 7
        await asyncio.sleep(self.turn % 5 / 200)
        return await super().decode(embedding, inputs, choice, modality)


async def test_order_of_windows_changes_no_byte(
    engine: LocalEngine, store: LocalStore, long: VolumeRecord
) -> None:
    box = Prompt(box=((4.0, 10.0, 4.0), (56.0, 140.0, 46.0)))
    masks, logits = set(), set()
    for turn in range(3):
        shuffled = ShuffledEngine(engine)
        shuffled.turn = turn
        workspace = Workspace(shuffled, store, EmbeddingCache(turn << 22))
        made = await workspace.segment(
            OWNER, long.id, box, extent=Extent(32, spacing=1.5), render=pack
        )
        assert len(made.record.windows) > 6
        masks.add(made.rendered)
        _, fields = store.segmentations.with_fields(OWNER, made.record.id)
        logits.add(fields["general"].values.tobytes())
        await workspace.close()
    assert len(masks) == len(logits) == 1


async def test_many_first_clicks_need_as_many_windows(
    workspace: Workspace, long: VolumeRecord
) -> None:
    apart = Prompt((Point(30, 10, 20), Point(30, 140, 20)))
    made = await workspace.segment(OWNER, long.id, apart)
    assert holds(made, (30, 10, 20), (30, 140, 20)) == [True, True]
    assert made.record.seeds == 3
    with pytest.raises(OutsideWindow, match="max_windows"):
        await workspace.segment(OWNER, long.id, apart, extent=Extent(max_windows=2))


async def test_neighbour_with_nothing_to_see_ends_the_mask(
    workspace: Workspace, tmp_path: Path
) -> None:
    voxels = np.random.default_rng(0).integers(1, 200, SHAPE, dtype=np.int16)
    # The neighbour overlaps by half, so the whole of it must be empty.
    voxels[:, 34:] = 0
    path = tmp_path / "half.nii"
    path.write_bytes(as_nifti(voxels, AFFINE))
    volume, _ = await workspace.volumes.add(OWNER, path, modality="MR")
    made = await workspace.segment(OWNER, volume.id, TWO)
    assert [window.kept for window in made.record.windows] == [True, False]
    with pytest.raises(NoForeground):
        await workspace.segment(OWNER, volume.id, Prompt((Point(*FAR),)))


async def test_cancelled_request_looks_no_further_and_keeps_nothing(
    watched: tuple[Workspace, WatchedEngine], long: VolumeRecord, store: LocalStore
) -> None:
    workspace, engine = watched
    await workspace.segment(OWNER, long.id, TWO, extent=Extent(extend=False))
    engine.open.clear()
    follows = asyncio.create_task(workspace.segment(OWNER, long.id, TWO))
    while engine.encodes < 2:
        await asyncio.sleep(0.01)
    follows.cancel()
    with pytest.raises(asyncio.CancelledError):
        await follows
    engine.open.set()
    assert len(store.segmentations.page(OWNER, long.id, None, 9).items) == 1
