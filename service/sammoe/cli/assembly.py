"""Putting the parts together: a workspace on a bundle and a folder."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sammoe.bundle import Bundle, load_bundle
from sammoe.engine import Engine
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.errors import SettingsInvalid
from sammoe.segmentation import Workspace
from sammoe.store import EmbeddingCache, LocalStore, SharedEmbeddings

Start = Callable[[Bundle, Engine | None], Awaitable[Engine]]
"""Makes an engine of a bundle, given the one that answers now, if any."""


def load_engine(folder: Path, threads: int = 0) -> LocalEngine:
    """Load a bundle with every file checked, and warm it up; blocks for seconds.

    Parameters
    ----------
    folder
        The bundle's.
    threads
        Of one model run; 0: all cores.
    """
    return LocalEngine(load_bundle(folder), _options(threads))


def local_engines(threads: int = 0) -> Start:
    """Starts engines in this process; each is warmed up, which takes seconds.

    Parameters
    ----------
    threads
        Of one model run; 0: all cores.
    """

    async def start(bundle: Bundle, like: Engine | None) -> Engine:
        other = like if isinstance(like, LocalEngine) else None
        return await asyncio.to_thread(LocalEngine, bundle, _options(threads), other)

    return start


def triton_engines(url: str) -> Start:
    """Starts engines on the Triton server at ``url``, which need not be up yet.

    Parameters
    ----------
    url
        ``host:port`` of the server's gRPC port; its model repository is the bundle's folder.

    Raises
    ------
    SettingsInvalid
        Triton's client is not installed.
    """
    try:
        from sammoe.engine.triton import TritonEngine
    except ModuleNotFoundError as error:
        raise SettingsInvalid(
            f"--triton-url needs {error.name}: pip install 'sam-med3d-moe[triton]'"
        ) from error

    async def start(bundle: Bundle, like: Engine | None) -> Engine:
        return TritonEngine(bundle, url)

    return start


@asynccontextmanager
async def open_workspace(
    engine: Engine, state: Path, cache_bytes: int, redis_url: str | None = None
) -> AsyncIterator[Workspace]:
    """A workspace over an engine; everything, the engine that then answers too, is closed at the
    end.

    Parameters
    ----------
    engine
        See :func:`local_engines` and :func:`triton_engines`.
    state
        Folder for volumes and segmentations; made when missing.
    cache_bytes
        Memory for embeddings.
    redis_url
        Where embeddings are shared with other processes, if anywhere.
    """
    async with AsyncExitStack() as stack:
        workspace: Workspace | None = None

        async def close_engine() -> None:
            await (engine if workspace is None else workspace.engine).close()

        stack.push_async_callback(close_engine)
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


def _options(threads: int) -> EngineOptions:
    return EngineOptions(encoder_threads=threads, decoder_threads=threads)


def _redis(url: str) -> SharedEmbeddings:
    from sammoe.store.redis import RedisEmbeddings  # a slow import that most do without

    return RedisEmbeddings(url)
