"""Answers that come in steps: server-sent events while a mask grows.

An event ``progress`` for each level of windows but the last, then one ``segmentation``, or one
``problem`` in place of it. Their data are JSON; masks are packed, in base64.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.responses import Response, StreamingResponse

from sammoe.api.answers import SegmentationOut
from sammoe.api.idempotency import HEADER as IDEMPOTENCY_KEY
from sammoe.api.negotiation import EVENTS
from sammoe.api.problems import fail, refuse
from sammoe.api.services import Call
from sammoe.errors import RequestRefused, SammoeError
from sammoe.segmentation import Grown, Progress, Render, Segmented
from sammoe.store import VolumeRecord
from sammoe.telemetry import log_failure
from sammoe.volume.packed import pack

Work = Callable[[Render, Progress], Awaitable[Segmented]]


def stream(call: Call, volume: VolumeRecord, work: Work) -> Response:
    """Answer with events; the work ends when the client goes away, and nothing is kept then.

    Raises
    ------
    RequestRefused
        There is an Idempotency-Key: a stream can not be answered again.
    """
    if IDEMPOTENCY_KEY in call.request.headers:
        raise RequestRefused(f"{IDEMPOTENCY_KEY} does not go with {EVENTS}: leave one out.")
    return StreamingResponse(_events(call, volume, work), 201, media_type=EVENTS)


async def _events(call: Call, volume: VolumeRecord, work: Work) -> AsyncIterator[bytes]:
    levels: asyncio.Queue[Grown | None] = asyncio.Queue()
    task = asyncio.ensure_future(work(pack, levels.put_nowait))
    task.add_done_callback(lambda _: levels.put_nowait(None))
    try:
        while (grown := await levels.get()) is not None:
            yield _event("progress", await asyncio.to_thread(_progress, grown, volume))
        yield _last(call, volume, task)
    finally:
        task.cancel()
        await asyncio.wait([task])


def _last(call: Call, volume: VolumeRecord, task: asyncio.Future[Segmented]) -> bytes:
    """The answer, or why there is none."""
    state = call.request.scope["state"]
    try:
        made = task.result()
    except SammoeError as error:
        return _event("problem", json.loads(bytes(refuse(error, state).body)))
    except Exception as error:
        log_failure(state["request_id"], error)
        return _event("problem", json.loads(bytes(fail(state).body)))
    found = SegmentationOut.of(made.record, volume).model_dump(mode="json")
    return _event("segmentation", {"segmentation": found, "mask": _text(made.rendered or b"")})


def _progress(grown: Grown, volume: VolumeRecord) -> dict[str, Any]:
    packed = pack(grown.field.paste(volume.geometry), volume.geometry)
    return {
        "windows": len(grown.looked),
        "encodes": grown.encodes,
        "mask": _text(packed),
    }


def _text(packed: bytes) -> str:
    return base64.b64encode(packed).decode()


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
