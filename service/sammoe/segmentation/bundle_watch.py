"""Following which bundle is active, without an interruption.

One record in the store that all front ends share names the active bundle (see
`sammoe.store.published`); where there is none, ``bundle.json`` in the bundle's own folder does,
which is replaced in one step. The files lie in that folder, which a Triton server reads, too (see
`sammoe.bundle.releases`). Model folders are named after their digests, so what both bundles have is
loaded once, and whoever switches a moment later than others can not meet a wrong pair.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sammoe.audit import UNTOLD, Deeds
from sammoe.bundle import Bundle, load_bundle, manifest_digest
from sammoe.bundle.releases import manifest_of
from sammoe.engine import Engine
from sammoe.engine.verifying import verify
from sammoe.errors import BundleInvalid, EngineError, StoreUnavailable
from sammoe.segmentation.workspace import Workspace
from sammoe.telemetry import log_failure

Start = Callable[[Bundle, Engine], Awaitable[Engine]]
"""Makes the engine of a new bundle, given the one that answers now."""

_READY_POLL_SECONDS: Final = 0.2

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WatchTimes:
    """When a `BundleWatch` does what, in seconds.

    Attributes
    ----------
    look
        Between two looks at the record.
    retry
        Before a bundle that was refused is tried again.
    ready
        How long the new engine may take until it can answer.
    grace
        How long models that only the old bundle has stay loaded where other front ends use them:
        these may switch that much later.
    """

    look: float = 1.0
    retry: float = 10.0
    ready: float = 60.0
    grace: float = 30.0


class BundleWatch:
    """Lets a workspace answer with what is published, once it has passed its self-test.

    A bundle that is damaged, fails its self-test or can not be started changes nothing; it is
    logged, counted in `Workspace.swaps`, and tried again later, for its files may be mended. One
    whose files have not come yet is waited for.

    Parameters
    ----------
    workspace
        Its store and its bundle's folder are watched.
    start
        Makes the engine of a new bundle. The watch closes the engines that it takes out of use.
    deeds
        Told of bundles that answer from now on, and of those that are refused.
    """

    def __init__(
        self,
        workspace: Workspace,
        start: Start,
        deeds: Deeds = UNTOLD,
        times: WatchTimes | None = None,
    ) -> None:
        self._workspace = workspace
        self._start = start
        self._deeds = deeds
        self._times = times or WatchTimes()
        self._blind = False
        self._missed: str | None = None
        self._refused: str | None = None
        self._retry_at = 0.0
        self._starting: Engine | None = None
        self._retired: dict[asyncio.Task[None], Engine] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch while the context lasts; what is active when it begins answers from the first."""
        await self._look()
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._close_retired()

    async def look(self) -> None:
        """Switch to the active bundle, if it is another one, there, and fit."""
        active = self._workspace.bundle
        digest = await asyncio.to_thread(self._published, active)
        if digest is None:
            return
        self._workspace.swaps.awaited = None if digest == active.digest else digest
        if digest == active.digest or self._waits(digest):
            return
        name = await asyncio.to_thread(manifest_of, active.path, digest)
        if name is None:
            self._miss(digest, active)
            return
        self._missed = None
        try:
            bundle = await asyncio.to_thread(load_bundle, active.path, name=name)
            if bundle.digest != digest:
                return  # replaced since
            engine = await self._start(bundle, self._workspace.engine)
            self._starting = engine
            try:
                await self._check(engine)
            except BaseException:
                self._starting = None
                await engine.close()
                raise
        except (BundleInvalid, EngineError) as error:
            self._refuse(digest, error)
            return
        old = self._workspace.engine
        try:
            await self._workspace.switch(engine)
        finally:  # also where the watch ends while the old engine still finishes clicks
            self._starting = None
            unused = old if self._workspace.engine is engine else engine
            self._retired[asyncio.create_task(self._retire(unused))] = unused
        self._workspace.swaps.awaited = None
        self._deeds.tell("bundle.switch", bundle=bundle.digest)
        _log.warning("bundle %s answers in place of %s", bundle.digest[:12], active.digest[:12])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._times.look)
            await self._look()

    async def _look(self) -> None:
        try:
            await self.look()
        except Exception as error:  # a fault of ours, which must not end the watching
            log_failure("bundle-watch", error)

    def _published(self, active: Bundle) -> str | None:
        """Digest of the bundle that should answer; None where that can not be learnt now."""
        try:
            record = self._workspace.store.published.look().record
        except StoreUnavailable as error:
            if not self._blind:
                _log.warning("which bundle is active can not be read: %s", error)
            self._blind = True
            return None
        self._blind = False
        return manifest_digest(active.path) if record is None else record.active.digest

    def _miss(self, digest: str, active: Bundle) -> None:
        if digest != self._missed:
            _log.error(
                "bundle %.12s is active and %s does not hold it: %.12s goes on answering",
                digest,
                active.path,
                active.digest,
            )
        self._missed = digest

    def _waits(self, digest: str) -> bool:
        return digest == self._refused and asyncio.get_running_loop().time() < self._retry_at

    def _refuse(self, digest: str, error: BundleInvalid | EngineError) -> None:
        if digest != self._refused:
            self._workspace.swaps.refused += 1
            self._deeds.tell("bundle.switch", "failed", bundle=digest)
            _log.error("bundle %.12s is refused, nothing has changed: %s", digest, error)
        self._refused = digest
        self._retry_at = asyncio.get_running_loop().time() + self._times.retry

    async def _check(self, engine: Engine) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._times.ready
        while True:
            try:
                await engine.check_ready()
                break
            except EngineError:
                if loop.time() > end:
                    raise
            await asyncio.sleep(_READY_POLL_SECONDS)
        await verify(engine)

    async def _retire(self, old: Engine) -> None:
        """Close an engine that nobody uses here, and unload what is in no bundle used here."""
        await asyncio.sleep(self._times.grace)
        del self._retired[asyncio.current_task()]  # type: ignore[arg-type]  # this runs in one
        used = {*self._retired.values(), self._workspace.engine, *filter(None, [self._starting])}
        kept = {folder for engine in used for folder in engine.bundle.manifest.folders.values()}
        await old.close(unload=sorted({*old.bundle.manifest.folders.values()} - kept))

    async def _close_retired(self) -> None:
        engines = list(self._retired.values())
        for task in self._retired:
            task.cancel()
        await asyncio.gather(*self._retired, return_exceptions=True)
        await asyncio.gather(*(engine.close() for engine in engines))
