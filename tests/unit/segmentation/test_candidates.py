"""Candidates that their click did not compute."""

from pathlib import Path

import numpy as np
import pytest

from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.errors import CandidateGone, CandidateMissing
from sammoe.segmentation import Candidate, Extent, Point, Prompt, Workspace
from sammoe.store import EmbeddingCache, LocalStore, VolumeRecord
from tests.bundles import write_test_bundle
from tests.scans import nifti
from tests.unit.segmentation.conftest import OWNER
from tests.unit.segmentation.test_clicking import CLICK


async def test_bundle_without_experts_has_no_such_candidate(
    workspace: Workspace, volume: VolumeRecord
) -> None:
    made = await workspace.segment(OWNER, volume.id, CLICK)
    with pytest.raises(CandidateMissing, match="no expert"):
        await workspace.mask(OWNER, made.record.id, "expert")


async def test_no_expert_for_the_scan_s_modality(
    store: LocalStore, cache: EmbeddingCache, scan: Path, tmp_path: Path
) -> None:
    bundle = write_test_bundle(tmp_path / "bundle", experts=("cord",), modalities={"cord": ("CT",)})
    engine = LocalEngine(bundle, EngineOptions(encoder_threads=1, decoder_threads=1))
    workspace = Workspace(engine, store, cache)
    volume, _ = await workspace.volumes.add(OWNER, scan, modality="MR")
    made = await workspace.segment(OWNER, volume.id, CLICK)
    with pytest.raises(CandidateMissing):
        await workspace.mask(OWNER, made.record.id, "expert")
    await workspace.close()
    await engine.close()


async def test_another_bundle_does_not_answer_for_the_one_that_did(
    mixture: LocalEngine,
    engine: LocalEngine,
    store: LocalStore,
    cache: EmbeddingCache,
    scan: Path,
) -> None:
    workspace = Workspace(mixture, store, cache)
    volume, _ = await workspace.volumes.add(OWNER, scan, modality="MR")
    made = await workspace.segment(OWNER, volume.id, CLICK, tau=1.0)
    await workspace.switch(engine)
    with pytest.raises(CandidateGone, match="served no more"):
        await workspace.mask(OWNER, made.record.id, "expert")
    # What was computed is there whatever is served.
    pasted, _ = await workspace.mask(OWNER, made.record.id, "general")
    assert pasted.mask.any()
    await workspace.close()


async def test_mask_of_the_second_best_expert(
    mixture: LocalEngine, store: LocalStore, cache: EmbeddingCache, tmp_path: Path
) -> None:
    workspace = Workspace(mixture, store, cache)
    path = tmp_path / "wide.nii"
    path.write_bytes(nifti(shape=(150, 60, 50)))
    volume, _ = await workspace.volumes.add(OWNER, path, modality="MR")
    torn = await workspace.segment(OWNER, volume.id, Prompt((Point(75, 30, 20),)))
    route = torn.record.route
    assert {route.top, route.rival} == {"cord", "lesion"}
    assert route.rival is not None
    found, _ = await workspace.mask(OWNER, torn.record.id, "rival")
    alone = await workspace.segment(
        OWNER, volume.id, Prompt((Point(75, 30, 20),)), expert=route.rival
    )
    np.testing.assert_array_equal(found.full(volume.shape), alone.pasted.full(volume.shape))
    assert "rival" in (await workspace.get_segmentation(OWNER, torn.record.id)).candidates
    assert (await workspace.get_segmentation(OWNER, torn.record.id)).route == route

    bite = Prompt((Point(75, 30, 26, positive=False),))
    gone_on = await workspace.segment(
        OWNER, volume.id, bite, parent=torn.record.id, refined="rival", expert="general"
    )
    same = await workspace.segment(OWNER, volume.id, bite, parent=alone.record.id, expert="general")
    assert gone_on.record.voxel_count == same.record.voxel_count

    with pytest.raises(CandidateMissing, match="second expert"):  # the gate was not asked
        await workspace.mask(OWNER, alone.record.id, "rival")
    await workspace.close()


@pytest.mark.parametrize(("first", "second", "kept"), [(20, 135, False), (30, 90, True)])
async def test_windows_whose_gates_name_different_experts(
    first: int, second: int, kept: bool, store: LocalStore, cache: EmbeddingCache, tmp_path: Path
) -> None:
    """Two clicks far apart, each in a window of its own: one expert's mask is made of one's."""
    bundle = write_test_bundle(
        tmp_path / "bundle", experts=("cord", "lesion"), radii={"cord": 6, "lesion": 10}
    )
    engine = LocalEngine(bundle, EngineOptions(encoder_threads=1, decoder_threads=1))
    workspace = Workspace(engine, store, cache)
    path = tmp_path / "wide.nii"
    path.write_bytes(nifti(shape=(150, 60, 50)))
    volume, _ = await workspace.volumes.add(OWNER, path, modality="MR")
    clicks, stays = Prompt((Point(first, 30, 20), Point(second, 30, 20))), Extent(extend=False)

    made = await workspace.segment(OWNER, volume.id, clicks, tau=0.0, extent=stays)
    assert made.record.route.top == "cord"
    assert ("expert" in made.record.candidates) is kept
    alone = await workspace.segment(OWNER, volume.id, clicks, expert="cord", extent=stays)
    pasted, _ = await workspace.mask(OWNER, made.record.id, "expert")
    np.testing.assert_array_equal(pasted.full(volume.shape), alone.pasted.full(volume.shape))

    bite = Prompt((Point(first, 30, 26, positive=False),))
    parents: tuple[tuple[str, Candidate], ...]
    parents = ((made.record.id, "expert"), (alone.record.id, "fused"))
    refined = [
        await workspace.segment(OWNER, volume.id, bite, parent=name, refined=mask, expert="general")
        for name, mask in parents
    ]
    assert refined[0].record.voxel_count == refined[1].record.voxel_count
    await workspace.close()
    await engine.close()
