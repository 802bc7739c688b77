"""P12: clicks while an expert is added to the bundle that answers them.

Bundles of arithmetic, for only the plumbing counts; a front end that runs the models itself. What
``sammoe bundle publish`` does in its own process takes of the same two cores, and is part of it.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import numpy as np

from loadtests.lean_client import Answer, LeanClient
from loadtests.load import samples_of
from loadtests.ratios.overload import click_request
from loadtests.ratios.ratio import Ratio
from tests import scans
from tests.integration.serving import serving
from tests.integration.swapping import publish, rollback, serve_folder, two_bundles

USERS: Final = 2
SECONDS: Final = 6.0


def measure(rounds: int) -> list[Ratio]:
    """P12."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        one, two = two_bundles(root)
        folder = serve_folder(one, root / "served")
        with (
            serving(folder, root / "state", "--log-level", "warning") as server,
            server.client() as http,
        ):
            volume = _add(http)
            request = click_request(volume, scans.INSIDE)
            client = LeanClient("127.0.0.1", urlsplit(server.url).port or 0, request)
            before: list[Answer] = []
            during: list[Answer] = []

            async def blocks() -> None:
                await client.closed_loop(USERS, 1.0)
                for number in range(2 * max(rounds // 10, 1)):
                    before.extend(await client.closed_loop(USERS, SECONDS))
                    change = asyncio.to_thread(
                        *((publish, two, folder) if number % 2 == 0 else (rollback, folder))
                    )
                    _, answers = await asyncio.gather(change, client.closed_loop(USERS, SECONDS))
                    during.extend(answers)
                client.close()

            asyncio.run(blocks())
            swaps = samples_of(http.get("/metrics").text)[
                "sammoe_bundle_swaps_total|outcome=switched"
            ]
    failed = sum(answer.status != 201 for answer in [*before, *during])
    late = [np.percentile([a.seconds for a in answers], 99) for answers in (before, during)]
    return [
        Ratio(
            "P12",
            "p99 while an expert is added or taken away / before",
            late[1] / late[0],
            2,
            1.3,
            f"{1e3 * late[1]:.1f} / {1e3 * late[0]:.1f} ms, {len(during)} answers,"
            f" {failed} failed, {swaps:.0f} swaps",
            holds=not failed and swaps > 0,
        )
    ]


def _add(http: httpx.Client) -> str:
    headers = {"Content-Type": "application/octet-stream"}
    answer = http.post("/v1/volumes?modality=MR", content=scans.gzipped(), headers=headers)
    return str(answer.raise_for_status().json()["id"])
