"""The process that reads DICOM series for another; see `sammoe.volume.dicom.isolation`.

``python -m sammoe.volume.dicom.reader HANDLE`` waits on a socket for connections and forks a reader
for each, until the other side is closed.
"""

import math
import mmap
import os
import resource
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import SammoeError, StoreUnavailable, TooLarge
from sammoe.volume.dicom.isolation import Found, Refusal, Request
from sammoe.volume.dicom.series import read_series

_CPU_SECONDS: Final = 10
_CPU_SECONDS_PER_MIB: Final = 5
"""Each process may compute for so long; the slowest decoder needs less than one per MiB."""
_MEMORY: Final = 1 << 31
"""Bytes that each process may take beside the voxels."""
_MAX_PROCESSES: Final = 4


def main(handle: int) -> None:
    """Fork a reader for each connection that comes through a socket, until it is closed."""
    # Who is forked is nobody's to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=handle) as requests:
        while True:
            message, handles, _, _ = socket.recv_fds(requests, 1, 1)
            if not message:
                return
            if os.fork() == 0:
                requests.close()
                _serve(Connection(handles[0]))
                os._exit(0)
            os.close(handles[0])


def _serve(connection: "Connection[Any, Any]") -> None:
    with suppress(EOFError, ConnectionError):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        request = connection.recv()
        connection.send(os.getpid())
        memory = _SharedMemory()
        answer = _read(request, memory)
        connection.send(answer)
        if isinstance(answer, Found):
            send_handle(connection, memory.handle, os.getppid())


def _read(request: Request, memory: "_SharedMemory") -> Found | Refusal:
    try:
        _limit(request.path)
        volume = read_series(
            request.path,
            request.limits,
            scratch=request.scratch,
            allocate=memory.allocate,
            processes=min(_MAX_PROCESSES, os.cpu_count() or 1),
        )
    except SammoeError as error:
        return Refusal(type(error), error.detail)
    except MemoryError:
        return Refusal(TooLarge, "The series takes more memory than a scan may take.")
    except OSError as error:
        return Refusal(StoreUnavailable, f"A file can not be read: {error.strerror}.")
    return Found(
        volume.geometry,
        volume.voxels.dtype,
        volume.modality,
        volume.modality_source,
        volume.source,
        volume.notes,
    )


def _limit(path: Path) -> None:
    """Set limits that the operating system holds this process and its children to."""
    seconds = _CPU_SECONDS + _CPU_SECONDS_PER_MIB * (_bytes_in(path) >> 20)
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_DATA, _MEMORY),
    ):
        with suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))


def _bytes_in(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(
        Path(place, name).lstat().st_size for place, _, names in os.walk(path) for name in names
    )


class _SharedMemory:
    """Memory in a file that has no name; the newest array alone is kept."""

    def __init__(self) -> None:
        self.handle = -1

    def allocate(self, shape: tuple[int, int, int], kind: np.dtype[Any]) -> NDArray[Any]:
        """A new array of zeros, shared with every process that gets the handle or is forked."""
        if self.handle >= 0:
            os.close(self.handle)
        if hasattr(os, "memfd_create"):
            self.handle = os.memfd_create("sammoe-voxels")
        else:
            with tempfile.TemporaryFile() as file:
                self.handle = os.dup(file.fileno())
        size = math.prod(shape) * kind.itemsize
        os.ftruncate(self.handle, size)
        return np.frombuffer(mmap.mmap(self.handle, size), kind).reshape(shape)


if __name__ == "__main__":
    main(int(sys.argv[1]))
