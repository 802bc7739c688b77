"""A workspace on a real engine and a real store, with a scan in it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.segmentation import Workspace
from sammoe.store import EmbeddingCache, LocalStore, VolumeRecord
from tests.bundles import write_test_bundle
from tests.scans import nifti

OWNER = "alice"


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    """An engine without experts."""
    bundle = write_test_bundle(tmp_path_factory.mktemp("bundle"))
    engine = LocalEngine(bundle, EngineOptions(encoder_threads=1, decoder_threads=1))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="session")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    """An engine with the experts ``cord`` and ``lesion``."""
    bundle = write_test_bundle(tmp_path_factory.mktemp("mixture"), experts=("cord", "lesion"))
    engine = LocalEngine(bundle, EngineOptions(encoder_threads=1, decoder_threads=1))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    """An empty store."""
    store = LocalStore(tmp_path / "state")
    yield store
    store.close()


@pytest.fixture
def cache() -> EmbeddingCache:
    """An empty cache."""
    return EmbeddingCache(1 << 24)


@pytest.fixture
async def workspace(
    engine: LocalEngine, store: LocalStore, cache: EmbeddingCache
) -> AsyncIterator[Workspace]:
    """A workspace on all of these."""
    workspace = Workspace(engine, store, cache)
    yield workspace
    await workspace.close()


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A NIfTI file."""
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti())
    return path


@pytest.fixture
async def volume(workspace: Workspace, scan: Path) -> VolumeRecord:
    """The scan, added by `OWNER` as MR."""
    record, _ = await workspace.volumes.add(OWNER, scan, modality="MR")
    return record
