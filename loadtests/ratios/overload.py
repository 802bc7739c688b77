"""P10: three times as many clicks as the service can answer, against as many as it can.

Decoders of official size, general route, one cached window. Capacity is what users without a pause
get answered; then clicks come at three times that rate, whether or not those before were answered.
Good are those that have their mask within ten seconds of when they were due. Blocks are in turn,
and capacity is measured on either side of each, for machines get faster and slower meanwhile. What
the sender takes of the same cores is not the service's to give: both rates are divided by the share
of the machine that it leaves, as for locust; the ratio as counted is told, too.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import numpy as np

from loadtests.bench_clicks import CLICK, add_volume, mni_template, server
from loadtests.bench_triton import random_bundle
from loadtests.lean_client import Answer, LeanClient
from loadtests.ratios.ratio import Ratio
from sammoe.api.negotiation import PACKED

USERS: Final = 4
SECONDS: Final = 6.0
GOOD_SECONDS: Final = 10.0
REFUSALS: Final = {429, 503}
CORES: Final = len(os.sched_getaffinity(0))


def measure(rounds: int) -> list[Ratio]:
    """Both figures of P10."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = random_bundle(folder / "bundle", ["expert_0"])
        flags = ("--log-level", "warning")
        with server(bundle, folder / "state", *flags) as url:
            with httpx.Client(base_url=url, timeout=120) as http:
                volume = add_volume(http, mni_template(), 0)
            client = LeanClient("127.0.0.1", urlsplit(url).port or 0, click_request(volume))
            blocks = asyncio.run(_blocks(client, max(rounds // 5, 2)))
    counted = statistics.median(good / capacity for (capacity, _), (good, _), _ in blocks)
    ratios = [_served(*block[1]) / _served(*block[0]) for block in blocks]
    answers = [answer for *_, overload in blocks for answer in overload]
    accepted = [answer.seconds for answer in answers if answer.status == 201]
    lost = Counter(a.status for a in answers if a.status not in {201, *REFUSALS})
    median, late = np.percentile(accepted, [50, 99])
    refused = len(answers) - len(accepted) - lost.total()
    seen = f"{len(accepted)} accepted, {refused} refused, lost: {dict(lost) or 0}"
    share = statistics.mean(cpu for _, (_, cpu), _ in blocks)
    return [
        Ratio(
            "P10",
            "goodput at 3x overload / capacity",
            statistics.median(ratios),
            0.9,
            0.95,
            f"blocks {min(ratios):.2f} to {max(ratios):.2f}; {seen};"
            f" as counted {counted:.2f}, the sender takes {share:.0%} of a core",
            at_most=False,
            holds=not lost,
        ),
        Ratio(
            "P10",
            "p99 / p50 of the accepted at 3x overload",
            late / median,
            3,
            2.5,
            f"{late:.2f} s / {median:.2f} s",
            holds=not lost,
        ),
    ]


Rate = tuple[float, float]
"""Good answers a second, and what the sender took meanwhile of a core."""


async def _blocks(client: LeanClient, count: int) -> list[tuple[Rate, Rate, list[Answer]]]:
    """Capacity, goodput, and what was answered under overload."""
    await client.closed_loop(USERS, 2.0)
    found = []
    before = await _capacity(client)
    for _ in range(count):
        began = time.process_time()
        overload = await client.open_loop(3 * before[0], 2 * SECONDS)
        used = time.process_time() - began
        # While clicks came: not the first second, in which the queue fills.
        first = overload[0].due
        ends = [a.due + a.seconds - first for a in overload if _is_good(a)]
        good = sum(1 < end <= 2 * SECONDS for end in ends) / (2 * SECONDS - 1)
        await asyncio.sleep(1.0)
        after = await _capacity(client)
        capacity = (before[0] + after[0]) / 2, (before[1] + after[1]) / 2
        found.append((capacity, (good, used / (2 * SECONDS)), overload))
        before = after
    client.close()
    return found


async def _capacity(client: LeanClient) -> Rate:
    """Clicks that users without a pause get answered."""
    began = time.process_time()
    done = await client.closed_loop(USERS, SECONDS)
    used = (time.process_time() - began) / SECONDS
    return sum(answer.status == 201 for answer in done) / SECONDS, used


def _served(rate: float, sender: float) -> float:
    """What it would be with the sender on another machine."""
    return rate / (1 - sender / CORES)


def _is_good(answer: Answer) -> bool:
    return answer.status == 201 and answer.seconds <= GOOD_SECONDS


def click_request(volume: str, at: Sequence[int] = CLICK) -> bytes:
    """A click by the general decoder in one window, as bytes; its answer is a packed mask."""
    points = [{"position": list(at), "label": 1}]
    asked = {"points": points, "space": "voxel", "extend": False, "expert": "general"}
    body = json.dumps(asked).encode()
    head = (
        f"POST /v1/volumes/{volume}/segmentations HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nAccept: {PACKED}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
