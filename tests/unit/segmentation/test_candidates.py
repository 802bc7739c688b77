"""Candidates that their click did not compute."""

from pathlib import Path

import pytest

from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.errors import CandidateGone, CandidateMissing
from sammoe.segmentation import Workspace
from sammoe.store import EmbeddingCache, LocalStore, VolumeRecord
from tests.bundles import write_test_bundle
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
