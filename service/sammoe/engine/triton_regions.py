"""Memory that a Triton server on the same machine maps: the system's, or a GPU's."""

import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray
from tritonclient.grpc.aio import InferenceServerClient

ASK_SECONDS: Final = 5.0
"""Deadline for telling the server."""

SYSTEM: Final = Path("/dev/shm")


class Region(ABC):
    """Memory that a server is told of by name.

    Raises
    ------
    OSError
        Where it is made: there is not so much of it.
    """

    name: str
    """What the server knows it by."""

    @abstractmethod
    def __init__(self, name: str, size: int) -> None: ...

    @staticmethod
    @abstractmethod
    async def mapped(client: InferenceServerClient) -> set[str]:
        """Names of all that the server has mapped of this kind, whoever's it is."""

    @staticmethod
    @abstractmethod
    async def unregister(client: InferenceServerClient, name: str) -> None:
        """Let the server forget one."""

    @abstractmethod
    async def register(self, client: InferenceServerClient) -> None:
        """Let the server map it."""

    @abstractmethod
    def write(self, values: Sequence[NDArray[Any]]) -> None:
        """Write contiguous arrays one after the other, from the beginning."""

    @abstractmethod
    def close(self) -> None:
        """Give the memory back."""


class SystemRegion(Region):
    """Of the system's memory; see `Region`.

    Its file is gone as soon as the server has mapped it: nothing stays in ``/dev/shm``, however
    this process ends. What the server has mapped stays with it until it is told.
    """

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self._size = size
        self._file = SYSTEM / name
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

    @staticmethod
    async def mapped(client: InferenceServerClient) -> set[str]:
        """See `Region.mapped`."""
        status = await client.get_system_shared_memory_status(client_timeout=ASK_SECONDS)
        return set(status.regions)

    @staticmethod
    async def unregister(client: InferenceServerClient, name: str) -> None:
        """See `Region.unregister`."""
        await client.unregister_system_shared_memory(name, client_timeout=ASK_SECONDS)

    def write(self, values: Sequence[NDArray[Any]]) -> None:
        """See `Region.write`."""
        start = 0
        for value in values:
            self._memory[start : start + value.nbytes] = value.data.cast("B")
            start += value.nbytes

    def close(self) -> None:
        """See `Region.close`."""
        self._memory.close()


class CudaRegion(Region):
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

    @staticmethod
    async def mapped(client: InferenceServerClient) -> set[str]:
        """See `Region.mapped`."""
        status = await client.get_cuda_shared_memory_status(client_timeout=ASK_SECONDS)
        return set(status.regions)

    @staticmethod
    async def unregister(client: InferenceServerClient, name: str) -> None:
        """See `Region.unregister`."""
        await client.unregister_cuda_shared_memory(name, client_timeout=ASK_SECONDS)

    def write(self, values: Sequence[NDArray[Any]]) -> None:
        """See `Region.write`."""
        self._cuda.set_shared_memory_region(self._handle, list(values))

    def close(self) -> None:
        """See `Region.close`."""
        self._cuda.destroy_shared_memory_region(self._handle)
