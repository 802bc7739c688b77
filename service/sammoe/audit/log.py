"""Writing the audit log: a thread of its own, so that no request waits for a disk that it need not.

Lines are handed to the system before a change is answered, which a killed process does not undo,
and flushed to the disk within a second. What can not be written is kept, in order, and written when
it can be.
"""

import asyncio
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from sammoe import __version__
from sammoe.audit.chains import file_of, head_of, heads_beside, set_aside, take_chain
from sammoe.audit.events import UIDS, Event, UidForm
from sammoe.audit.seals import Sealer, write_line
from sammoe.errors import AuditUnavailable
from sammoe.telemetry import log_failure

FLUSH_SECONDS: Final = 1.0
"""How long a line may be unflushed; and between two trials while the log can not be written."""

MOST_KEPT: Final = 10_000
"""Events that wait while the log can not be written; further ones are counted."""

_STOP_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AuditOptions:
    """How the log is written.

    Attributes
    ----------
    sealer
        Seals lines.
    uids
        How UIDs appear.
    rotate_bytes
        After which a file is followed by the next.
    fails_open
        Whether changes are let through while the log can not be written.
    """

    sealer: Sealer = field(default_factory=Sealer)
    uids: UidForm = "hashed"
    rotate_bytes: int = 64 << 20
    fails_open: bool = False


@dataclass
class _Waiting:
    event: Event
    done: Future[None] | None


class AuditLog:
    """One process's chain of the log. For any thread; `written` for an event loop.

    Parameters
    ----------
    folder
        Made when missing, for this user alone.

    Raises
    ------
    AuditUnavailable
        It can not be written, and that matters.
    """

    def __init__(self, folder: Path, options: AuditOptions | None = None) -> None:
        self.folder = folder
        self._options = options or AuditOptions()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._kept: deque[_Waiting] = deque()
        self._lost = 0
        self._chain: _Chain | None = None
        self._works = True
        self._works = self._try()
        if not self._works and not self._options.fails_open:
            raise AuditUnavailable(f"The audit log {folder} can not be written.")
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    @property
    def works(self) -> bool:
        """Whether the last thing that was to be written was."""
        return self._works

    def check(self) -> None:
        """Return if a change may be made.

        Raises
        ------
        AuditUnavailable
            The log can not be written, and the settings do not let changes through then.
        """
        if not (self._works or self._options.fails_open):
            raise AuditUnavailable("The audit log can not be written, so nothing may be changed.")

    def add(self, event: Event) -> None:
        """Write an event soon; never waits."""
        self._queue.put(_Waiting(event, None))

    async def written(self, event: Event) -> None:
        """Write an event, and return when the system has it, or has refused it."""
        if not self._thread.is_alive():
            return
        done: Future[None] = Future()
        self._queue.put(_Waiting(event, done))
        await asyncio.wrap_future(done)

    def close(self) -> None:
        """Write what waits, and free the chain for the next process."""
        self._queue.put(None)
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        going = True
        while going:
            going = self._take()
            told = list(self._kept)
            try:
                self._works = self._try()
            except Exception as error:  # a fault of ours, which must leave nobody waiting
                log_failure("audit", error)
                self._works = False
            # Only now: who waited may ask at once whether the log works.
            for waiting in told:
                _finish(waiting)
        if self._chain is not None:
            self._chain.close()

    def _take(self) -> bool:
        """Wait for events, and take all there are; False: it was the last time."""
        going = True
        with suppress(queue.Empty):
            waiting = self._queue.get(timeout=FLUSH_SECONDS)
            while True:
                if waiting is None:
                    going = False
                else:
                    self._keep(waiting)
                waiting = self._queue.get_nowait()
        return going

    def _keep(self, waiting: _Waiting) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._lost += 1
            _finish(waiting)
        else:
            self._kept.append(waiting)

    def _try(self) -> bool:
        """Write what is kept; return whether that could be done."""
        try:
            if self._chain is None:
                self._chain = _Chain(self.folder, self._options)
            said = [self._said(waiting.event) for waiting in self._kept]
            if self._lost:
                lost = Event("audit.lost", "failed", objects={"lines": self._lost})
                said.append(self._said(lost))
            self._chain.append(said)
            # They are in the file, whether or not it can be flushed: never twice.
            self._kept.clear()
            self._lost = 0
            self._chain.settle()
        except OSError as error:
            if self._works:
                _log.error("the audit log can not be written: %s", error.strerror)
            if isinstance(error, FileNotFoundError) and self._chain is not None:
                # Its folder is gone: the next trial makes one.
                self._chain.close()
                self._chain = None
            return False
        return True

    def _said(self, event: Event) -> dict[str, Any]:
        form, objects = self._options.uids, dict(event.objects)
        for name in UIDS:
            if name in objects and form == "hashed":
                objects[name] = self._options.sealer.pseudonym(str(objects[name]))
            elif form == "none":
                objects.pop(name, None)
        return replace(event, objects=objects).said()


class _Chain:
    """A chain that this process holds, and the file that it writes."""

    def __init__(self, folder: Path, options: AuditOptions) -> None:
        self._options = options
        self._folder, self._lock = take_chain(folder)
        self._file, self._size = -1, 0
        self._unflushed, self._flushed = False, 0.0
        try:
            head = head_of(self._folder)
            set_aside(self._folder, head)
            self._n, self._seal = head.n, head.seal
            self._begin({"torn": head.torn} if head.torn else {})
        except BaseException:
            os.close(self._lock)
            raise

    def append(self, said: list[dict[str, Any]]) -> None:
        """Write lines, all or none of them.

        Raises
        ------
        OSError
            Nothing of them is in the file.
        """
        if os.fstat(self._file).st_nlink == 0:
            # Somebody has removed the file: what comes goes into a new one. The gap will be seen.
            self._begin({})
        if self._size > self._options.rotate_bytes:
            self._flush()
            self._begin({})
        if said:
            self._write(said)

    def settle(self) -> None:
        """Flush what has been unflushed for long; raises ``OSError``."""
        if self._unflushed and time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._flush()

    def close(self) -> None:
        """Flush, and let the chain go."""
        with suppress(OSError):
            self._flush()
        os.close(self._file)
        os.close(self._lock)

    def _begin(self, more: Mapping[str, Any]) -> None:
        """Begin the next file, with a line that says what came before."""
        path = file_of(self._folder, self._n + 1)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        before = self._file, self._size, self._n, self._seal
        self._file, self._size = handle, 0
        opened = Event("audit.opened", "success").said() | {
            "chain": self._folder.name,
            "program": __version__,
            "seals": self._options.sealer.name,
            "beside": heads_beside(self._folder),
            **more,
        }
        try:
            self._write([opened])
            self._flush()
            _flush_folder(self._folder)
        except BaseException:
            os.close(handle)
            path.unlink(missing_ok=True)
            self._file, self._size, self._n, self._seal = before
            raise
        if before[0] >= 0:
            os.close(before[0])

    def _write(self, said: list[dict[str, Any]]) -> None:
        n, seal, pieces = self._n, self._seal, []
        for members in said:
            n += 1
            line, seal = write_line({"n": n, "previous": seal, **members}, self._options.sealer)
            pieces.append(line)
        content = b"".join(pieces)
        try:
            written = 0
            while written < len(content):
                written += os.pwrite(self._file, content[written:], self._size + written)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._n, self._seal = n, seal
        self._size += len(content)
        self._unflushed = True

    def _flush(self) -> None:
        os.fsync(self._file)
        self._unflushed, self._flushed = False, time.monotonic()


def _finish(waiting: _Waiting) -> None:
    if waiting.done is not None:
        with suppress(InvalidStateError):  # who waited has gone
            waiting.done.set_result(None)
        waiting.done = None


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
