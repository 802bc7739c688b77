"""A cached click: P1 against the official encoder each time, P5 what HTTP costs, P8, P9 sizes.

Decoders of official size with random weights, general and fused; MNI152 at 1 mm, in one window. Of
random weights as they are, whose mask is all over the window, and with that of a structure.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from loadtests.bench_clicks import (
    CLICK,
    THREADS,
    add_volume,
    mni_template,
    padded_encoder,
    scan_bytes,
    server,
)
from loadtests.bench_triton import feed_of, random_bundle
from loadtests.networks import session
from loadtests.ratios.ratio import Ratio
from loadtests.timing import Times, interleave
from sammoe.api.negotiation import PACKED
from sammoe.bundle import ENCODER, GENERAL_DECODER, Bundle
from sammoe.engine import decoder_inputs
from sammoe.store import rounded
from sammoe.volume.crop import crop
from sammoe.volume.packed import pack
from sammoe.volume.paste import paste
from sammoe.volume.reading import read_volume
from sammoe.volume.window import source_to_window, window_for_point

ROUTES = {"general": "general", "fused": "auto"}
"""Route to what a request asks for; every click of the bundle that is left to its gate is fused."""


MASKS = {"whole window": None, "32 mL": 20.0}
"""What the decoders paint: random weights fill the window, which no structure does that is clicked
on; so the same decoders are measured with the mask of one, a ball of that radius in mm, too."""


def measure(rounds: int) -> list[Ratio]:
    """P1 (two routes) and P5 for each mask, P8, P9."""
    template = mni_template()
    found: list[Ratio] = []
    with tempfile.TemporaryDirectory() as name:
        for painted, radius_mm in MASKS.items():
            folder = Path(name) / painted
            bundle = random_bundle(folder / "bundle", radius_mm=radius_mm)
            found += _clicks(bundle, folder / "state", template, painted, rounds)
    return found


def _clicks(bundle: Bundle, state: Path, template: Any, painted: str, rounds: int) -> list[Ratio]:
    bare = Bare(bundle, scan_bytes(template, 0))
    with (
        server(bundle, state, "--log-level", "warning") as url,
        httpx.Client(base_url=url, timeout=120) as http,
    ):
        volume = add_volume(http, template, 0)
        runs: dict[str, Callable[[], object]] = {
            route: lambda expert=expert: click(http, volume, expert).content  # type: ignore[misc]
            for route, expert in ROUTES.items()
        }
        runs |= {"decoder": bare.decode, "bare": bare.click}
        times = interleave(runs, rounds)
        naive = interleave({"padded": padded_encoder(bare.image)}, max(rounds // 5, 2))
        mask = click(http, volume, "general").content
        fused = click(http, volume, "auto", form="application/json").json()["route"]["fused"]
    same = mask == bare.click()
    found = [
        *(
            Ratio(
                "P1",
                "naive click (padded encoder in torch each time) / cached click, HTTP,"
                f" {route}, {painted}",
                (naive["padded"].median + times[route].median) / times[route].median,
                200 if route == "general" else 120,
                400 if route == "general" else 250,
                f"{ms(naive['padded'])} and the click / {ms(times[route])}",
                at_most=False,
                holds=fused and same,
            )
            for route in ROUTES
        ),
        Ratio(
            "P5",
            "(cached click over HTTP - bare decoder and paste) / these, in-process engine, general,"
            f" {painted}",
            times["general"].median / times["bare"].median - 1,
            0.30,
            0.15,
            f"{ms(times['general'])} / {ms(times['bare'])}, of it decoder {ms(times['decoder'])}",
            holds=same,
        ),
        Ratio(
            "P9",
            f"bytes of an answer / of the uint8 mask on the scan's grid, {painted}",
            len(mask) / bare.voxels,
            0.1,
            0.02,
            f"{len(mask)} / {bare.voxels}",
        ),
    ]
    if painted == "whole window":
        embedding = Ratio(
            "P8",
            "bytes of an embedding / of the int16 window",
            bare.embedding.nbytes / (2 * bare.image.size),
            0.19,
            0.094,
            f"{bare.embedding.nbytes} / {2 * bare.image.size}",
            holds=bare.embedding.dtype == np.float16,
        )
        found.append(embedding)
    return found


class Bare:
    """The same work called in this process: one window, its embedding made before.

    ``spinning``: see `session`.
    """

    def __init__(self, bundle: Bundle, scan: bytes, *, spinning: bool = False) -> None:
        self._volume, rule = read_volume(scan, modality="MR"), bundle.manifest.window_rule()
        geometry = self._volume.geometry
        self._window = window_for_point(geometry, CLICK, self._volume.modality, rule)
        points = source_to_window(geometry, self._window, np.array([CLICK]))
        self.voxels = int(np.prod(geometry.shape))
        self.image = crop(self._volume, self._window, rule)
        encoder = session(bundle.model_path(ENCODER), THREADS)
        self.embedding: np.ndarray = encoder.run(["embedding"], {"image": self.image})[0]
        decoder = bundle.model_path(GENERAL_DECODER)
        self._decoder = session(decoder, THREADS, spinning=spinning)
        self._feed = feed_of(self.embedding, decoder_inputs(points, [1], None, None, rule))

    def decode(self) -> np.ndarray:
        """Logits of the general decoder."""
        logits: np.ndarray = self._decoder.run(["logits"], self._feed)[0][0, 0]
        return rounded(logits)

    def click(self) -> bytes:
        """The packed mask."""
        pasted = paste(self.decode(), self._window, self._volume.geometry)
        return pack(pasted, self._volume.geometry)


def click(http: httpx.Client, volume: str, expert: str, form: str = PACKED) -> httpx.Response:
    """One positive click, looked at in one window."""
    i, j, k = CLICK
    body: dict[str, Any] = {
        "points": [{"position": [i, j, k], "label": 1}],
        "space": "voxel",
        "extend": False,
        "expert": expert,
    }
    headers = {"Content-Type": "application/json", "Accept": form}
    url = f"/v1/volumes/{volume}/segmentations"
    return http.post(url, content=json.dumps(body), headers=headers).raise_for_status()


def ms(times: Times) -> str:
    """Median and spread."""
    low, high = min(times.seconds), max(times.seconds)
    return f"{1e3 * times.median:.1f} ms [{1e3 * low:.1f}, {1e3 * high:.1f}]"
