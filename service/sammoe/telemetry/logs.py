"""Log lines for people and for machines: one line an event, with the id of its request.

Whatever a line holds, it stays one line: control characters are escaped, so that nothing that a
client sends can forge a second one or steer a terminal.
"""

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal

from sammoe.telemetry.metrics import known_method
from sammoe.telemetry.tracing import trace_id

LogFormat = Literal["text", "json"]

access_log = logging.getLogger("sammoe.access")
error_log = logging.getLogger("sammoe.errors")

_FIELDS: Final = "fields"
"""Attribute of a record: what it says as names and values, which its message repeats as text."""

_LIBRARIES: Final = ("asyncio", "opentelemetry", "uvicorn")
"""Whose warnings are worth a line of ours."""

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


@contextmanager
def about(request_id: str) -> Iterator[None]:
    """Every line that is logged meanwhile, by whatever thread works on it, has the request's id."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)


def log_request(request_id: str, method: str, route: str, status: int, seconds: float) -> None:
    """One line per request."""
    _tell(
        access_log,
        logging.INFO,
        request_id=request_id,
        method=known_method(method),
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
    )


def log_failure(request_id: str, error: BaseException) -> None:
    """A fault of ours: the exception's type and frames, without its message or any value."""
    _tell(
        error_log,
        logging.ERROR,
        request_id=request_id,
        exception=type(error).__qualname__,
        at=_places(error.__traceback__),
    )


def configure_logging(level: str, form: LogFormat = "text") -> None:
    """Send log lines to stderr: the service's own from ``level`` (``debug`` ... ``error``) up, and
    warnings of libraries.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    for name in ("sammoe", *_LIBRARIES):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level.upper() if name == "sammoe" else logging.WARNING)
        logger.propagate = False
    # At a lower level they log addresses, which hold UIDs of patients' studies.
    for library in ("httpcore", "httpx"):
        logging.getLogger(library).setLevel(logging.WARNING)


class TextLines(logging.Formatter):
    """``time LEVEL logger message request_id=...``, for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        line = super().format(record)
        request_id = _request_id.get()
        if request_id is not None and not hasattr(record, _FIELDS):
            line += f" request_id={request_id}"
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        """Without the exception's message."""
        return _exception(ei)


class JsonLines(logging.Formatter):
    """One JSON object a line (RFC 8259, ASCII), for whatever collects logs."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if (request_id := _request_id.get()) is not None:
            told["request_id"] = request_id
        if (trace := trace_id()) is not None:
            told["trace_id"] = trace
        told |= getattr(record, _FIELDS, None) or {"message": record.getMessage()}
        if record.exc_info:
            told["exception"] = _exception(record.exc_info)
        return json.dumps(told)


def _tell(logger: logging.Logger, level: int, **fields: str | int | float) -> None:
    message = " ".join(f"{name}={value}" for name, value in fields.items())
    logger.log(level, "%s", message, extra={_FIELDS: fields})


def _exception(info: Any) -> str:
    kind, _, trace = info
    return "" if kind is None else f"{kind.__qualname__} at {_places(trace)}"


def _places(trace: TracebackType | None) -> str:
    """Where an exception went through, the innermost frame first."""
    frames = reversed(traceback.extract_tb(trace))
    return " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
