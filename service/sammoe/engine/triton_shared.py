"""Memory that this process shares with a Triton server on the same machine, for large inputs.

Optional: tensors travel in the calls themselves where it is not asked for, can not be had, or is
all in use. Inputs alone are shared, which the server reads and never writes. So a call that was
given up can not reach a later one through its region: at most the server still reads there, and
answers nobody.
"""

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Literal

from numpy.typing import NDArray
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from sammoe.engine.triton_owners import Owner
from sammoe.engine.triton_regions import CudaRegion, Region, SystemRegion
from sammoe.errors import EngineError, SettingsInvalid

SharedMemory = Literal["off", "system", "cuda"]
"""Which memory: none, the system's (``/dev/shm``), or the first GPU's."""

SMALL_BYTES: Final = 32 << 10
"""Inputs up to this size travel in the call."""

REGIONS: Final = 8
"""As many calls of a kind have a region at once; further ones do without."""

RETRY_SECONDS: Final = 60.0
"""Before a server that could not share is asked again."""

QUIET_SECONDS: Final = 60.0
"""After this the server has done with a call that was given up, and its region may go."""

PUT_AWAY_SECONDS: Final = 2.0
"""After its answer the server may hold a request's regions for a moment; this is more than that."""

_log = logging.getLogger(__name__)


class RegionUnknown(EngineError):
    """The server does not know a region, for it was started since."""


@dataclass(frozen=True)
class Place:
    """Where an input lies: the region's name, the input's bytes and its offset there."""

    region: str
    size: int
    offset: int


class SharedInputs:
    """Regions for the large inputs of calls to one server; made when first needed, then kept.

    Parameters
    ----------
    kind
        Of regions.
    """

    def __init__(self, kind: type[Region]) -> None:
        self._kind = kind
        self._owner: Owner | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._free: defaultdict[int, list[Region]] = defaultdict(list)
        self._count: defaultdict[int, int] = defaultdict(int)
        self._retry_at = -math.inf
        self._given_up_at = -math.inf

    @asynccontextmanager
    async def holding(
        self, client: InferenceServerClient, inputs: Mapping[str, NDArray[Any]]
    ) -> AsyncIterator[Mapping[str, Place]]:
        """Lend a region with the large ones of some inputs in it, while a call lasts.

        Parameters
        ----------
        inputs
            By name; C-contiguous.

        Yields
        ------
        Where they lie, by name; nothing where there is no region for them.
        """
        large = {name: value for name, value in inputs.items() if value.nbytes > SMALL_BYTES}
        size = sum(value.nbytes for value in large.values())
        region = await self._take(client, size) if large else None
        if region is None:
            yield {}
            return
        try:
            region.write(list(large.values()))
            places, offset = {}, 0
            for name, value in large.items():
                places[name] = Place(region.name, value.nbytes, offset)
                offset += value.nbytes
            yield places
        except RegionUnknown:
            self._drop(region, size)
            raise
        except BaseException:
            self._given_up_at = time.monotonic()
            self._free[size].append(region)
            raise
        self._free[size].append(region)

    async def close(self, client: InferenceServerClient) -> None:
        """Give all regions back; no call is under way.

        A server that may still read for a call that was given up keeps them until another process
        starts on it, for to take them away now would end it.
        """
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
        regions = [region for free in self._free.values() for region in free]
        self._free.clear()
        if self._owner is not None:
            quiet = time.monotonic() - self._given_up_at > QUIET_SECONDS
            self._owner.end(left=not (quiet and await self._forget_all(client, self._owner)))
        for region in regions:
            region.close()

    async def _take(self, client: InferenceServerClient, size: int) -> Region | None:
        if free := self._free[size]:
            return free.pop()
        if self._count[size] == REGIONS or time.monotonic() < self._retry_at:
            return None
        self._count[size] += 1
        region: Region | None = None
        try:
            if self._owner is None:
                self._owner = Owner.begin()
            region = self._kind(self._owner.new_name(), size)
            await region.register(client)
        except (OSError, InferenceServerException) as error:
            self._drop(region, size)
            if "UNAVAILABLE" not in str(getattr(error, "status", str)()):
                self._retry_at = time.monotonic() + RETRY_SECONDS
                _log.warning("no memory is shared with Triton: %s", error)
            return None
        except BaseException:
            self._drop(region, size)
            raise
        if self._tidying is None:
            self._tidying = asyncio.create_task(self._tidy(client))
        return region

    async def _tidy(self, client: InferenceServerClient) -> None:
        """Let the server forget what processes that were killed have left there."""
        owners, done = Owner.dead(), set[Owner]()
        try:
            mapped = await self._kind.mapped(client) if owners else set()
            left = {owner: names for owner in owners if (names := owner.names(mapped))}
            if left:
                # It may still be at work on what they asked for.
                await asyncio.sleep(QUIET_SECONDS)
            for owner, names in left.items():
                for name in names:
                    await self._forget(client, name)
                done.add(owner)
        except InferenceServerException as error:
            _log.warning("what a killed process shared with Triton stays there: %s", error)
        finally:
            for owner in owners:
                owner.end(left=owner not in done)

    async def _forget_all(self, client: InferenceServerClient, owner: Owner) -> bool:
        """Let the server forget all that is this process's; False where something may be left.

        It may have mapped more than it said: the answer to a registration is lost with a call that
        is given up, or that took too long.
        """
        try:
            for name in owner.names(await self._kind.mapped(client)):
                await self._forget(client, name)
        except InferenceServerException:
            return False
        return True

    async def _forget(self, client: InferenceServerClient, name: str) -> None:
        """Let the server forget a region, once it has put away the request whose answer it gave."""
        end = time.monotonic() + PUT_AWAY_SECONDS
        while True:
            try:
                return await self._kind.unregister(client, name)
            except InferenceServerException as error:
                if "in use" not in str(error) or time.monotonic() > end:
                    raise
            await asyncio.sleep(0.01)

    def _drop(self, region: Region | None, size: int) -> None:
        self._count[size] -= 1
        if region is not None:
            region.close()


def shared_inputs(kind: SharedMemory) -> SharedInputs | None:
    """Regions of a kind of memory; None for ``"off"``.

    Raises
    ------
    SettingsInvalid
        What CUDA's memory needs is not installed.
    """
    if kind == "off":
        return None
    if kind == "system":
        return SharedInputs(SystemRegion)
    try:
        import_module("tritonclient.utils.cuda_shared_memory")
    except (ImportError, RuntimeError) as error:
        raise SettingsInvalid(
            "--triton-shared-memory cuda needs cuda-python: pip install 'tritonclient[cuda]'"
        ) from error
    return SharedInputs(CudaRegion)
