"""Writing the audit log: a thread of its own, so that no request waits for a disk that it need not.

Lines are handed to the system before a change is answered, which a killed process does not undo,
and flushed to the disk within a second. What can not be written is kept, in order, and written when
it can be. A disk that does not answer counts as one that fails.
"""

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from sammoe.audit.events import UIDS, Event, UidForm
from sammoe.audit.seals import Sealer
from sammoe.audit.writing import FLUSH_SECONDS, WrittenChain
from sammoe.errors import AuditUnavailable
from sammoe.telemetry import log_failure

HUNG_SECONDS: Final = 5.0
"""After which a disk that does not answer counts as one that fails."""

MOST_KEPT: Final = 10_000
"""Events that wait while the log can not be written; and as many while the disk hangs. Further ones
are counted."""

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
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(MOST_KEPT)
        self._kept: deque[_Waiting] = deque()
        self._lost = 0
        self._losing = threading.Lock()
        self._chain: WrittenChain | None = None
        self._works = self._settled = True
        self._busy_since: float | None = None
        tried = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(tried,), name="audit", daemon=True)
        self._thread.start()
        if not ((tried.wait(HUNG_SECONDS) and self._works) or self._options.fails_open):
            self._queue.put(None)
            raise AuditUnavailable(f"The audit log {folder} can not be written.")

    @property
    def works(self) -> bool:
        """Whether the last thing that was to be written was, and the disk answers."""
        return self._works and not self._hangs

    def check(self) -> None:
        """Return if a change may be made.

        Raises
        ------
        AuditUnavailable
            The log can not be written, and the settings do not let changes through then.
        """
        if not (self.works or self._options.fails_open):
            raise AuditUnavailable("The audit log can not be written, so nothing may be changed.")

    def add(self, event: Event) -> None:
        """Write an event soon; never waits."""
        self._put(_Waiting(event, None))

    async def written(self, event: Event) -> None:
        """Write an event, and return when the system has it, or has refused it, or hangs."""
        if not self._thread.is_alive():
            return
        done: Future[None] = Future()
        if not self._put(_Waiting(event, done)) or self._hangs:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(HUNG_SECONDS):
                await asyncio.wrap_future(done)

    def close(self) -> None:
        """Write what waits, and free the chain for the next process."""
        with suppress(queue.Full):
            self._queue.put(None, timeout=_STOP_SECONDS)
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            _log.error("the audit log hangs: what was to be written last is lost")

    @property
    def _hangs(self) -> bool:
        since = self._busy_since
        return since is not None and time.monotonic() - since >= HUNG_SECONDS

    def _put(self, waiting: _Waiting) -> bool:
        try:
            self._queue.put_nowait(waiting)
        except queue.Full:
            self._lose()
            return False
        return True

    def _run(self, tried: threading.Event) -> None:
        self._attempt()
        tried.set()
        going = True
        while going:
            going = self._take()
            self._attempt()
        if self._chain is not None:
            self._chain.close()

    def _attempt(self) -> None:
        told = list(self._kept)
        self._busy_since = time.monotonic()
        try:
            written = self._tried(self._write)
            # What could not be flushed the last time does not work until it can.
            self._works = written and self._settled
            # Only now: who waited may ask at once whether the log works. And not later: what the
            # system has outlives this process, and nobody need wait for the disk.
            for waiting in told:
                _finish(waiting)
            if written:
                self._works = self._settled = self._tried(self._settle)
        except Exception as error:  # a fault of ours, which must leave nobody waiting
            log_failure("audit", error)
            self._works = False
        finally:
            self._busy_since = None
        for waiting in told:
            _finish(waiting)

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
            self._lose()
            _finish(waiting)
        else:
            self._kept.append(waiting)

    def _lose(self) -> None:
        with self._losing:
            self._lost += 1

    def _tried(self, step: Callable[[], None]) -> bool:
        """Whether the disk let it be done."""
        try:
            step()
        except OSError as error:
            if self._works:
                _log.error("the audit log can not be written: %s", error.strerror)
            if isinstance(error, FileNotFoundError) and self._chain is not None:
                # Its folder is gone: the next trial makes one.
                self._chain.close()
                self._chain = None
            return False
        return True

    def _write(self) -> None:
        """Hand to the system what is kept."""
        if self._chain is None:
            options = self._options
            self._chain = WrittenChain(self.folder, options.sealer, options.rotate_bytes)
        said, lost = [self._said(waiting.event) for waiting in self._kept], self._lost
        if lost:
            said.append(Event("audit.lost", "failed", objects={"lines": lost}).said())
        self._chain.append(said)
        # They are in the file, whether or not it can be flushed: never twice.
        self._kept.clear()
        with self._losing:
            self._lost -= lost

    def _settle(self) -> None:
        """Flush to the disk what has been unflushed for long."""
        if self._chain is not None:
            self._chain.settle()

    def _said(self, event: Event) -> dict[str, Any]:
        form, objects = self._options.uids, dict(event.objects)
        for name in UIDS:
            if name in objects and form == "hashed":
                objects[name] = self._options.sealer.pseudonym(str(objects[name]))
            elif form == "none":
                objects.pop(name, None)
        return replace(event, objects=objects).said()


def _finish(waiting: _Waiting) -> None:
    if waiting.done is not None:
        with suppress(InvalidStateError):  # who waited has gone
            waiting.done.set_result(None)
        waiting.done = None
