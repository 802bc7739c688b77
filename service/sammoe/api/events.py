"""Answers that come in steps: server-sent events, a ``problem`` in place of what failed."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, MutableMapping
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from starlette.responses import Response, StreamingResponse

from sammoe.api.auditing import end
from sammoe.api.idempotency import HEADER as IDEMPOTENCY_KEY
from sammoe.api.negotiation import EVENTS
from sammoe.api.problems import fail, refuse
from sammoe.api.services import Call
from sammoe.errors import RequestRefused, SammoeError
from sammoe.telemetry import log_failure


class Step(NamedTuple):
    """An event's name and data, and whether it is the last, with which all is done."""

    name: str
    data: dict[str, Any]
    last: bool = False


Steps = AsyncGenerator[Step, None]
"""Closed when the client goes away."""

_AT_ONCE: Final = {"X-Accel-Buffering": "no"}
"""Tells nginx to pass each event on as it comes, however it is set."""


def check_unkeyed(call: Call) -> None:
    """Refuse an Idempotency-Key: a stream can not be answered again."""
    if IDEMPOTENCY_KEY in call.request.headers:
        raise RequestRefused(f"{IDEMPOTENCY_KEY} does not go with {EVENTS}: leave one out.")


def stream(call: Call, steps: Steps, status: int) -> Response:
    """Answer with events as the steps come."""
    return StreamingResponse(_events(call, steps, status), status, _AT_ONCE, EVENTS)


async def _events(call: Call, steps: Steps, status: int) -> AsyncIterator[bytes]:
    state = call.request.scope["state"]
    try:
        async with aclosing(steps):
            async for step in steps:
                if step.last:
                    end(state, status)
                yield _event(step.name, step.data)
    except SammoeError as error:
        yield _problem(state, refuse(error, state))
    except Exception as error:
        log_failure(state["request_id"], error)
        yield _problem(state, fail(state))


def _problem(state: MutableMapping[str, Any], response: Response) -> bytes:
    end(state, response.status_code)
    return _event("problem", json.loads(bytes(response.body)))


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
