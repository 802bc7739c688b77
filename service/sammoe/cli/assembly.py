"""Putting the parts together: a workspace on a bundle and a folder."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from sammoe.bundle import Bundle, load_bundle
from sammoe.engine import Engine
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.errors import SettingsInvalid
from sammoe.pacs import Pacs, PacsServer
from sammoe.segmentation import Workspace, WorkspaceLimits
from sammoe.store import EmbeddingCache, LocalStore, SharedEmbeddings, Store, StoreLimits
from sammoe.store.files import storage_errors
from sammoe.telemetry import Tracer

_REMOTE_WORKERS = 16

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
    engine: Engine,
    state: Path,
    cache_bytes: int,
    redis_url: str | None = None,
    store_url: str | None = None,
    limits: StoreLimits | None = None,
    servers: Iterable[PacsServer] = (),
    encodes_per_minute: int = 0,
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
    store_url
        The bucket that holds volumes and segmentations; the folder is for unfinished files and
        copies then.
    limits
        How long records are kept, and how many.
    servers
        DICOMweb servers to read series from.
    encodes_per_minute
        See `WorkspaceLimits`.
    """
    async with AsyncExitStack() as stack:
        workspace: Workspace | None = None

        async def close_engine() -> None:
            await (engine if workspace is None else workspace.engine).close()

        stack.push_async_callback(close_engine)
        store = await asyncio.to_thread(open_store, state, store_url, limits)
        stack.callback(store.close)
        shared = None if redis_url is None else _redis(redis_url)
        if shared is not None:
            stack.push_async_callback(shared.close)
        cache = EmbeddingCache(cache_bytes)
        stack.push_async_callback(cache.close)
        taken = WorkspaceLimits(encodes_per_minute=encodes_per_minute)
        if store_url is not None:
            # Threads that wait for a bucket use no core.
            taken = replace(taken, click_workers=_REMOTE_WORKERS)
        pacs = Pacs(servers)
        stack.push_async_callback(pacs.close)
        workspace = Workspace(engine, store, cache, taken, shared=shared, pacs=pacs)
        stack.push_async_callback(workspace.close)
        yield workspace


@asynccontextmanager
async def traces(url: str | None) -> AsyncIterator[Tracer | None]:
    """What collects spans, while the context lasts; None where no collector is named.

    Raises
    ------
    SettingsInvalid
        What tracing needs is not installed.
    """
    if url is None:
        yield None
        return
    try:
        from sammoe.telemetry.otlp import OtlpTracer
    except ModuleNotFoundError as error:
        raise SettingsInvalid(
            f"--tracing-url needs {error.name}: pip install 'sam-med3d-moe[tracing]'"
        ) from error
    tracer = OtlpTracer(url)
    try:
        yield tracer
    finally:
        await asyncio.to_thread(tracer.close)


def _options(threads: int) -> EngineOptions:
    return EngineOptions(encoder_threads=threads, decoder_threads=threads)


def open_store(state: Path, url: str | None, limits: StoreLimits | None = None) -> Store:
    """The store in a bucket, or else in the folder; blocks. Whoever opened it closes it.

    Raises
    ------
    SettingsInvalid
        What buckets need is not installed.
    StoreUnavailable
        It can not be used.
    """
    if url is None:
        return LocalStore(state, limits)
    try:
        from sammoe.store.object_files import ObjectFiles
    except ModuleNotFoundError as error:
        raise SettingsInvalid(
            f"--store needs {error.name}: pip install 'sam-med3d-moe[s3]'"
        ) from error
    with storage_errors():
        files = ObjectFiles(url, state)
    try:
        return Store(files, limits)
    except BaseException:
        files.close()
        raise


def _redis(url: str) -> SharedEmbeddings:
    from sammoe.store.redis import RedisEmbeddings  # a slow import that most do without

    return RedisEmbeddings(url)
