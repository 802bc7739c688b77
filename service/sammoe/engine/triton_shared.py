"""Memory that this process shares with a Triton server on the same machine, for large inputs.

Optional: tensors travel in the calls themselves where it is not asked for, can not be had, or is
all in use. Inputs alone are shared, which the server reads and never writes. So a call that was
given up can not reach a later one through its region: at most the server still reads there, and
answers nobody.
"""

import asyncio
import logging
import math
import mmap
import os
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from numpy.typing import NDArray
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from sammoe.errors import EngineError, SettingsInvalid

SharedMemory = Literal["off", "system", "cuda"]
"""Which memory: none, the system's (``/dev/shm``), or the first GPU's."""

SMALL_BYTES: Final = 32 << 10
"""Inputs up to this size travel in the call."""

REGIONS: Final = 8
"""As many calls of a kind have a region at once; further ones do without."""

ASK_SECONDS: Final = 5.0
"""Deadline for telling the server."""

RETRY_SECONDS: Final = 60.0
"""Before a server that could not share is asked again."""

QUIET_SECONDS: Final = 60.0
"""After this the server has done with a call that was given up, and its region may go."""

_SYSTEM: Final = Path("/dev/shm")

_log = logging.getLogger(__name__)


class RegionUnknown(EngineError):
    """The server does not know a region, for it was started since."""


@dataclass(frozen=True)
class Place:
    """Where an input lies: the region's name, the input's bytes and its offset there."""

    region: str
    size: int
    offset: int


class Region(Protocol):
    """Memory of this process that a server is told of by name.

    Raises
    ------
    OSError
        Where it is made: there is not so much of it.
    """

    @property
    def name(self) -> str:
        """What the server knows it by."""
        ...

    async def register(self, client: InferenceServerClient) -> None:
        """Let the server map it."""
        ...

    async def unregister(self, client: InferenceServerClient) -> None:
        """Let the server forget it."""
        ...

    def write(self, values: Sequence[NDArray[Any]]) -> None:
        """Write contiguous arrays one after the other, from the beginning."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


class SystemRegion:
    """Of the system's memory; see `Region`.

    Its file is gone as soon as the server has mapped it: nothing stays in ``/dev/shm``, however
    this process ends. What the server has mapped stays with it until it is told, or ends.
    """

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self._size = size
        self._file = _SYSTEM / name
        handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # All of it now, or else a full system would end this process when it writes.
            os.posix_fallocate(handle, 0, size)
            self._memory = mmap.mmap(handle, size)
        except BaseException:
            self._file.unlink()
            raise
        finally:
            os.close(handle)

    async def register(self, client: InferenceServerClient) -> None:
        """See `Region.register`."""
        try:
            await client.register_system_shared_memory(
                self.name, f"/{self.name}", self._size, client_timeout=ASK_SECONDS
            )
        finally:
            self._file.unlink()

    async def unregister(self, client: InferenceServerClient) -> None:
        """See `Region.unregister`."""
        await client.unregister_system_shared_memory(self.name, client_timeout=ASK_SECONDS)

    def write(self, values: Sequence[NDArray[Any]]) -> None:
        """See `Region.write`."""
        start = 0
        for value in values:
            self._memory[start : start + value.nbytes] = value.data.cast("B")
            start += value.nbytes

    def close(self) -> None:
        """See `Region.close`."""
        self._memory.close()


class CudaRegion:
    """Of the first GPU's memory; see `Region`. The driver frees it when this process ends."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self._size = size
        self._cuda: Any = import_module("tritonclient.utils.cuda_shared_memory")
        try:
            self._handle = self._cuda.create_shared_memory_region(name, size, 0)
        except self._cuda.CudaSharedMemoryException as error:
            raise OSError(str(error)) from error

    async def register(self, client: InferenceServerClient) -> None:
        """See `Region.register`."""
        raw = self._cuda.get_raw_handle(self._handle)
        await client.register_cuda_shared_memory(
            self.name, raw, 0, self._size, client_timeout=ASK_SECONDS
        )

    async def unregister(self, client: InferenceServerClient) -> None:
        """See `Region.unregister`."""
        await client.unregister_cuda_shared_memory(self.name, client_timeout=ASK_SECONDS)

    def write(self, values: Sequence[NDArray[Any]]) -> None:
        """See `Region.write`."""
        self._cuda.set_shared_memory_region(self._handle, list(values))

    def close(self) -> None:
        """See `Region.close`."""
        self._cuda.destroy_shared_memory_region(self._handle)


class SharedInputs:
    """Regions for the large inputs of calls to one server; made when first needed, then kept.

    Parameters
    ----------
    make
        Makes a region of a name and a size in bytes.
    """

    def __init__(self, make: Callable[[str, int], Region]) -> None:
        self._make = make
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

        A server that may still read for a call that was given up keeps them until it ends, for to
        take them away then would end it.
        """
        regions = [region for free in self._free.values() for region in free]
        self._free.clear()
        if time.monotonic() - self._given_up_at > QUIET_SECONDS:
            told = (region.unregister(client) for region in regions)
            await asyncio.gather(*told, return_exceptions=True)
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
            region = self._make(f"sammoe-inputs-{os.getpid()}-{secrets.token_hex(6)}", size)
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
        return region

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
