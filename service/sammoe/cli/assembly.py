"""Putting the parts together: a workspace on a bundle and a folder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sammoe.bundle import load_bundle
from sammoe.engine import Engine
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.errors import SettingsInvalid
from sammoe.segmentation import Workspace
from sammoe.store import EmbeddingCache, LocalStore, SharedEmbeddings


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
async def open_workspace(
    engine: Engine, state: Path, cache_bytes: int, redis_url: str | None = None
) -> AsyncIterator[Workspace]:
    """A workspace over a loaded engine; everything, the engine too, is closed at the end.

    Parameters
    ----------
    engine
        See :func:`load_engine` and :func:`connect_engine`.
    state
        Folder for volumes and segmentations; made when missing.
    cache_bytes
        Memory for embeddings.
    redis_url
        Where embeddings are shared with other processes, if anywhere.
    """
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.close)
        store = LocalStore(state)
        stack.callback(store.close)
        shared = None if redis_url is None else _redis(redis_url)
        if shared is not None:
            stack.push_async_callback(shared.close)
        cache = EmbeddingCache(cache_bytes)
        stack.push_async_callback(cache.close)
        workspace = Workspace(engine, store, cache, shared=shared)
        stack.push_async_callback(workspace.close)
        yield workspace


def _redis(url: str) -> SharedEmbeddings:
    from sammoe.store.redis import RedisEmbeddings  # a slow import that most do without

    return RedisEmbeddings(url)
