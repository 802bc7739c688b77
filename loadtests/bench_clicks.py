"""A click over HTTP against the same work called bare.

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_clicks

vit_b size, random weights, the MNI152 1 mm template of nilearn, 2 threads, general route, answers
as packed masks. The server is a real ``sammoe serve`` on loopback; the bare calls are the product's
own functions in this process, in the same order. Blocks are interleaved: whatever disturbs the
machine disturbs both. Exits 1 when a mask over HTTP differs from the bare one.
"""

import argparse
import json
import os

# As the command sets it for itself: the bare calls may not have more BLAS threads than the server.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from loadtests.networks import random_vit_b, session
from loadtests.timing import Times, interleave
from sammoe.api.negotiation import PACKED
from sammoe.bundle import ENCODER, GENERAL_DECODER, Bundle, Provenance, load_bundle
from sammoe.engine.inputs import DecoderInputs, decoder_inputs
from sammoe.store import rounded
from sammoe.volume.crop import crop
from sammoe.volume.packed import pack
from sammoe.volume.paste import Pasted, paste
from sammoe.volume.reading import read_volume
from sammoe.volume.volume import Volume
from sammoe.volume.window import Window, WindowRule, source_to_window, window_for_point

THREADS = 2
CLICK = (98, 110, 90)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="cached clicks of each (default 15)")
    parser.add_argument("--firsts", type=int, default=5, help="first clicks of each (default 5)")
    parser.add_argument("--naives", type=int, default=3, help="padded encodes (default 3)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = random_bundle(folder / "bundle")
        template = mni_template()
        bare = Bare.load(bundle, read_volume(scan_bytes(template, 0), modality="MR"))
        with (
            server(bundle, folder / "state") as url,
            httpx.Client(base_url=url, timeout=120) as http,
        ):
            return compare(http, bare, template, args)


def compare(http: httpx.Client, bare: "Bare", template: Any, args: argparse.Namespace) -> int:
    """Measure and print; 0 when the masks agree."""
    volumes = [add_volume(http, template, i) for i in range(args.firsts + 1)]
    fresh = iter(volumes)
    first = interleave(
        {"HTTP": lambda: click(http, next(fresh)), "bare": lambda: bare.first(CLICK)}, args.firsts
    )
    embedding = bare.encode(CLICK)
    cached = interleave(
        {
            "HTTP": lambda: click(http, volumes[0]),
            "bare": lambda: bare.later(embedding, CLICK),
            "bare decoder": lambda: bare.decode(embedding, CLICK),
        },
        args.rounds,
    )
    naive = interleave({"padded": padded_encoder(bare.image(CLICK))}, args.naives)["padded"]
    same = click(http, volumes[0]).content == bare.later(embedding, CLICK)
    report("first click, median", first)
    report("cached click, median", cached)
    over, resampling = cached["bare"].median, cached["bare"].median - cached["bare decoder"].median
    print(f"resampling, threshold and packing: {resampling / over:.0%} of the bare cached click")
    slow = naive.median + cached["HTTP"].median
    print(f"naive click: padded encoder {naive} and a cached click")
    print(f"first click over HTTP / bare      {ratio(first):8.2f}")
    print(f"cached click over HTTP / bare     {ratio(cached):8.2f}")
    print(f"naive click / cached click, HTTP  {slow / cached['HTTP'].median:8.0f}")
    print("masks over HTTP and bare are", "equal" if same else "DIFFERENT")
    return 0 if same else 1


def report(title: str, times: dict[str, Times]) -> None:
    print(f"{title}:")
    for name, value in times.items():
        print(f"  {name:13} {value}")


def ratio(times: dict[str, Times]) -> float:
    return times["HTTP"].median / times["bare"].median


@dataclass(frozen=True)
class Bare:
    """The graphs and the functions around them, called one after the other in this process."""

    volume: Volume
    rule: WindowRule
    encoder: Any
    decoder: Any

    @classmethod
    def load(cls, bundle: Bundle, volume: Volume) -> "Bare":
        encoder, decoder = (
            session(bundle.model_path(part), THREADS) for part in (ENCODER, GENERAL_DECODER)
        )
        return cls(volume, bundle.manifest.window_rule(), encoder, decoder)

    def window(self, index: tuple[int, int, int]) -> Window:
        return window_for_point(self.volume.geometry, index, self.volume.modality, self.rule)

    def image(self, index: tuple[int, int, int]) -> np.ndarray:
        return crop(self.volume, self.window(index), self.rule)

    def encode(self, index: tuple[int, int, int]) -> np.ndarray:
        embedding: np.ndarray = self.encoder.run(["embedding"], {"image": self.image(index)})[0]
        return embedding

    def inputs(self, index: tuple[int, int, int]) -> DecoderInputs:
        points = source_to_window(self.volume.geometry, self.window(index), np.array([index]))
        return decoder_inputs(points, [1], None, None, self.rule)

    def decode(self, embedding: np.ndarray, index: tuple[int, int, int]) -> np.ndarray:
        inputs = self.inputs(index)
        feed = {"embedding": embedding, "coords": inputs.coords, "labels": inputs.labels}
        logits: np.ndarray = self.decoder.run(["logits"], {**feed, "mask": inputs.mask})[0][0, 0]
        return rounded(logits)

    def pasted(self, embedding: np.ndarray, index: tuple[int, int, int]) -> Pasted:
        return paste(self.decode(embedding, index), self.window(index), self.volume.geometry)

    def later(self, embedding: np.ndarray, index: tuple[int, int, int]) -> bytes:
        return pack(self.pasted(embedding, index), self.volume.geometry)

    def first(self, index: tuple[int, int, int]) -> bytes:
        return self.later(self.encode(index), index)


def padded_encoder(image: np.ndarray) -> Any:
    """The official form of the encoder in PyTorch, on one window."""
    import torch

    from tests.oracles.padded_encoder import padded_encode

    torch.set_num_threads(THREADS)
    model = random_vit_b()
    state, tensor = model.image_encoder.state_dict(), torch.from_numpy(image)

    def encode() -> None:
        with torch.no_grad():
            padded_encode(state, model.config, tensor)

    return encode


def random_bundle(folder: Path) -> Bundle:
    """A bundle of official size and random weights."""
    from sammoe.export.bundles import export_bundle
    from sammoe.export.release import Release, official_windows

    made = Provenance(
        source="random", licence="none", created=date(2000, 1, 1), training_data="none"
    )
    export_bundle(
        random_vit_b(), folder, Release(name="random", window=official_windows(), provenance=made)
    )
    return load_bundle(folder)


def mni_template() -> Any:
    """The MNI152 T1 template at 1 mm, a NIfTI image."""
    from nilearn.datasets import load_mni152_template  # type: ignore[import-untyped]

    return load_mni152_template(resolution=1)


@contextmanager
def server(bundle: Bundle, state: Path, *flags: str) -> Iterator[str]:
    """A real ``sammoe serve`` on a free port, with further flags; yields its URL."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "sammoe", "serve", "--bundle", str(bundle.path)]
    options = ["--state", str(state), "--port", str(port), "--threads", str(THREADS), *flags]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    process = subprocess.Popen([*command, *options], env=environment, stdout=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                if httpx.get(f"{url}/readyz").is_success:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def scan_bytes(template: Any, number: int) -> bytes:
    """The template as a file; each number has embeddings of its own, for one voxel differs."""
    voxels = np.asanyarray(template.dataobj).copy()
    voxels[0, 0, 0] = number / 100
    data: bytes = type(template)(voxels, template.affine).to_bytes()
    return data


def add_volume(http: httpx.Client, template: Any, number: int) -> str:
    """Upload; returns the volume's id."""
    headers = {"Content-Type": "application/octet-stream"}
    content = scan_bytes(template, number)
    answer = http.post("/v1/volumes", params={"modality": "MR"}, content=content, headers=headers)
    name: str = answer.raise_for_status().json()["id"]
    return name


def click(http: httpx.Client, volume: str) -> httpx.Response:
    """One positive click in one window; the packed mask comes back.

    Random weights paint a window full, so their mask would be followed into its neighbours, which
    the bare calls do not look at.
    """
    i, j, k = CLICK
    points = [{"position": [i, j, k], "label": 1}]
    body = {"points": points, "space": "voxel", "extend": False}
    headers = {"Content-Type": "application/json", "Accept": PACKED}
    url = f"/v1/volumes/{volume}/segmentations"
    return http.post(url, content=json.dumps(body), headers=headers).raise_for_status()


if __name__ == "__main__":
    sys.exit(main())
