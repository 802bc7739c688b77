"""Putting the parts together: a workspace on a bundle and a folder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sammoe.bundle import load_bundle
from sammoe.engine import Engine
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.errors import SettingsInvalid
from sammoe.segmentation import Workspace
from sammoe.store import EmbeddingCache, LocalStore


def load_engine(folder: Path, threads: int = 0) -> LocalEngine:
    """Load a bundle with every file checked, and warm it up; blocks for seconds.

    Parameters
    ----------
    folder
        The bundle's.
    threads
        Of one model run; 0: all cores.
    """
    options = EngineOptions(encoder_threads=threads, decoder_threads=threads)
    return LocalEngine(load_bundle(folder), options)


async def connect_engine(folder: Path, url: str) -> Engine:
    """The engine on the Triton server at ``url``, which need not be up yet.

    Parameters
    ----------
    folder
        The bundle's, of which the server has the same.
    url
        ``host:port`` of the server's gRPC port.

    Raises
    ------
    SettingsInvalid
        Triton's client is not installed.
    BundleInvalid
        The bundle can not be loaded, or has no selector.
    """
    try:
        from sammoe.engine.triton import TritonEngine
    except ModuleNotFoundError as error:
        raise SettingsInvalid(
            f"--triton-url needs {error.name}: pip install 'sam-med3d-moe[triton]'"
        ) from error
    bundle = await asyncio.to_thread(load_bundle, folder)
    return TritonEngine(bundle, url)


@asynccontextmanager
async def open_workspace(engine: Engine, state: Path, cache_bytes: int) -> AsyncIterator[Workspace]:
    """A workspace over a loaded engine; everything, the engine too, is closed at the end.

    Parameters
    ----------
    engine
        See :func:`load_engine` and :func:`connect_engine`.
    state
        Folder for volumes and segmentations; made when missing.
    cache_bytes
        Memory for embeddings.
    """
    try:
        store = LocalStore(state)
        try:
            workspace = Workspace(engine, store, EmbeddingCache(cache_bytes))
            try:
                yield workspace
            finally:
                await workspace.close()
        finally:
            store.close()
    finally:
        await engine.close()
