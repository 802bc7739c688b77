"""P11: one encode for many first clicks, across replicas too. P13: Redis dies, clicks go on."""

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx

from loadtests.bench_clicks import click, mni_template, random_bundle, scan_bytes, server
from loadtests.load import samples_of
from loadtests.ratios.clicks import ms
from loadtests.ratios.ratio import Ratio
from loadtests.timing import Times, interleave
from tests.integration.redis_server import RedisServer

REPLICAS: Final = 3
AT_ONCE: Final = 24


def measure(rounds: int) -> list[Ratio]:
    """Three front ends on one store and one Redis; the whole network of official size."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        redis = RedisServer(folder)
        stack.callback(redis.kill)
        bundle = random_bundle(folder / "bundle")
        flags = ("--redis-url", redis.url, "--log-level", "warning")
        urls = [
            stack.enter_context(server(bundle, folder / "state", *flags)) for _ in range(REPLICAS)
        ]
        clients = [stack.enter_context(httpx.Client(base_url=url, timeout=300)) for url in urls]
        volume = _add(clients[0])
        return [_first_clicks(clients, volume), *_without_redis(clients[0], volume, redis, rounds)]


def _add(http: httpx.Client) -> str:
    content = scan_bytes(mni_template(), 0)
    headers = {"Content-Type": "application/octet-stream"}
    answer = http.post("/v1/volumes", params={"modality": "MR"}, content=content, headers=headers)
    return str(answer.raise_for_status().json()["id"])


def _first_clicks(clients: list[httpx.Client], volume: str) -> Ratio:
    before = encodes(clients)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = pool.map(lambda n: click(clients[n % REPLICAS], volume), range(AT_ONCE))
        masks = {answer.content for answer in asked}
    made = encodes(clients) - before
    return Ratio(
        "P11",
        f"encodes for {AT_ONCE} simultaneous first clicks on {REPLICAS} replicas",
        made,
        1,
        1,
        f"{AT_ONCE} answers, {len(masks)} mask",
        holds=len(masks) == 1 and made >= 1,
    )


def encodes(clients: list[httpx.Client]) -> float:
    """Windows that all replicas together have cut out to be encoded."""
    name = "sammoe_phase_seconds_count|phase=crop"
    return sum(samples_of(http.get("/metrics").text).get(name, 0.0) for http in clients)


def _without_redis(http: httpx.Client, volume: str, redis: RedisServer, rounds: int) -> list[Ratio]:
    """The same click, with Redis alive and dead in turn; its embedding is in memory."""
    failed = 0

    def after(change: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            nonlocal failed
            failed += not click(http, volume).is_success

        change()
        return run

    alive: list[float] = []
    dead: list[float] = []
    for _ in range(max(rounds // 5, 2)):
        run = after(redis.start)
        alive += interleave({"click": run}, 5)["click"].seconds
        run = after(redis.kill)
        began = time.monotonic()
        while time.monotonic() - began < 0.1:  # the first clicks after it are the interesting ones
            run()
        dead += interleave({"click": run}, 5)["click"].seconds
    redis.start()  # As it was found.
    with_it, without = Times(tuple(alive)), Times(tuple(dead))
    return [
        Ratio(
            "P13",
            "median of a cached click with Redis dead / alive",
            without.median / with_it.median,
            1.2,
            1.05,
            f"{ms(without)} / {ms(with_it)}, {failed} failed",
            holds=not failed,
        )
    ]
