"""A mask that grows, in steps: an event ``progress`` for each level of windows but the last, then
one ``segmentation``. Their data are JSON; masks are packed, in base64.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

from sammoe.api.answers import SegmentationOut
from sammoe.api.events import Step, Steps
from sammoe.segmentation import Grown, Progress, Render, Segmented
from sammoe.store import VolumeRecord
from sammoe.volume.packed import pack

Work = Callable[[Render, Progress], Awaitable[Segmented]]


async def growing(volume: VolumeRecord, work: Work) -> Steps:
    """The steps of a click; closed before the last, the work ends and nothing is kept."""
    levels: asyncio.Queue[Grown | None] = asyncio.Queue()
    task = asyncio.ensure_future(work(pack, levels.put_nowait))
    task.add_done_callback(lambda _: levels.put_nowait(None))
    try:
        while (grown := await levels.get()) is not None:
            yield Step("progress", await asyncio.to_thread(_progress, grown, volume))
        made = task.result()
        found = SegmentationOut.of(made.record, volume).model_dump(mode="json")
        data = {"segmentation": found, "mask": _text(made.rendered or b"")}
        yield Step("segmentation", data, last=True)
    finally:
        task.cancel()
        await asyncio.wait([task])


def _progress(grown: Grown, volume: VolumeRecord) -> dict[str, Any]:
    packed = pack(grown.field.paste(volume.geometry), volume.geometry)
    return {
        "windows": len(grown.looked),
        "encodes": grown.encodes,
        "mask": _text(packed),
    }


def _text(packed: bytes) -> str:
    return base64.b64encode(packed).decode()
