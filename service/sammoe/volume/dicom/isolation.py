"""Reading a DICOM series in a process of its own.

Parsing and decoding take seconds of pure computing, use C libraries, and look at bytes that anybody
may have sent. So another process does it (`sammoe.volume.dicom.reader`), with upper limits on its
memory and time: nothing that a file can do takes the service with it, and none of it waits for the
interpreter's lock. The voxels come back in memory that both share.
"""

import math
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from sammoe.errors import DicomInvalid, SammoeError
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.geometry import Geometry
from sammoe.volume.limits import ReadLimits
from sammoe.volume.notes import ReadingNote
from sammoe.volume.volume import Modality, ModalitySource, Volume

_SECONDS: Final = 600.0
"""How long one series may take."""

_MODULE: Final = "sammoe.volume.dicom.reader"


@dataclass(frozen=True)
class Request:
    """What another process shall read; see `read_series`."""

    path: Path
    limits: ReadLimits
    scratch: Path


@dataclass(frozen=True, repr=False)
class Found:
    """A `Volume` without its voxels, which follow as a handle."""

    geometry: Geometry
    dtype: np.dtype[Any]
    modality: Modality
    modality_source: ModalitySource
    source: DicomSource | None
    notes: tuple[ReadingNote, ...]


@dataclass(frozen=True)
class Refusal:
    """Why it did not."""

    kind: type[SammoeError]
    detail: str


def read_isolated(path: Path, limits: ReadLimits, scratch: Path | None = None) -> Volume:
    """Read a DICOM series in another process; blocks until it is there.

    Parameters and errors are those of `sammoe.volume.dicom.series.read_series`.

    Raises
    ------
    DicomInvalid
        Also where reading took too much memory or time, or a decoder crashed.
    """
    # Made here, so that it is removed even if the reader is killed.
    with TemporaryDirectory(prefix="sammoe-", dir=scratch) as folder, _readers.new() as reader:
        reader.send(Request(path.absolute(), limits, Path(folder)))
        process = 0
        try:
            process = reader.recv()
            return _receive(reader)
        except (EOFError, ConnectionError):
            raise _failed() from None
        finally:
            _end(process)


def prepare() -> None:
    """Start what readers are forked from, so that the first series does not wait for it."""
    _readers.new().close()


def _receive(reader: "Connection[Any, Any]") -> Volume:
    answer = reader.recv() if reader.poll(_SECONDS) else None
    if isinstance(answer, Refusal):
        raise answer.kind(answer.detail)
    if not isinstance(answer, Found):
        raise _failed()
    handle = recv_handle(reader)
    try:
        memory = mmap.mmap(handle, 0)
    finally:
        os.close(handle)
    stored = answer.geometry.shape[::-1]
    voxels = np.frombuffer(memory, answer.dtype, count=math.prod(stored)).reshape(stored)
    return Volume(
        voxels.transpose(2, 1, 0),
        answer.geometry,
        answer.modality,
        answer.modality_source,
        answer.source,
        answer.notes,
    )


def _failed() -> DicomInvalid:
    return DicomInvalid(
        "The series could not be read within the memory and time that a scan may take; a file of "
        "it is damaged."
    )


def _end(process: int) -> None:
    """See that nothing is left of a reader, nor of those that it started: they are one group."""
    if process:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process, signal.SIGKILL)


class _Readers:
    """The process that readers are forked from; it ends when this one does, however it ends.

    Forked from one that has imported all it needs, a reader starts in milliseconds; and that one
    has no threads, unlike this one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def new(self) -> "Connection[Any, Any]":
        """A connection to a new reader."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            try:
                self._pass_on(theirs)
            except OSError:
                # There is none yet, or somebody ended it.
                self._start()
                self._pass_on(theirs)
        return Connection(ours.detach())

    def _pass_on(self, end: socket.socket) -> None:
        if self._socket is None:
            raise ConnectionError
        socket.send_fds(self._socket, [b"."], [end.fileno()])

    def _start(self) -> None:
        if self._socket is not None and self._process is not None:
            self._socket.close()
            self._process.wait()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Its modules are found where this process found them; and it stays free of threads.
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    "OPENBLAS_NUM_THREADS": "1",
                },
                start_new_session=True,
            )


_readers = _Readers()
