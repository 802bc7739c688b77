"""The whole application without a socket: real workspace, real engine, tiny bundle."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from sammoe.bundle import Bundle
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.segmentation import Workspace
from sammoe.store import EmbeddingCache, LocalStore
from tests.bundles import write_test_bundle
from tests.contract.service import EXPERT, Service


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with one expert."""
    return write_test_bundle(tmp_path_factory.mktemp("bundle"), experts=[EXPERT])


@pytest.fixture(scope="session")
def engine(bundle: Bundle) -> Iterator[LocalEngine]:
    """The engine on it; loading takes longer than all else."""
    engine = LocalEngine(bundle, EngineOptions(encoder_threads=1, decoder_threads=1))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture
async def workspace(engine: LocalEngine, tmp_path: Path) -> AsyncIterator[Workspace]:
    """An empty workspace."""
    store = LocalStore(tmp_path / "state")
    workspace = Workspace(engine, store, EmbeddingCache(1 << 26))
    yield workspace
    await workspace.close()
    store.close()


@pytest.fixture
async def service(workspace: Workspace) -> AsyncIterator[Service]:
    """The service with default settings, and a client on loopback."""
    async with Service.over(workspace) as service:
        yield service


@pytest.fixture
def http(service: Service) -> httpx.AsyncClient:
    """The client alone."""
    return service.http
