"""P6: a fused cached click over HTTP and a real Triton against its parts called bare."""

import tempfile
from pathlib import Path

import httpx

from loadtests.bench_clicks import add_volume, click, mni_template, scan_bytes, server
from loadtests.bench_triton import bare_click, random_bundle
from loadtests.ratios.clicks import ms
from loadtests.ratios.ratio import Ratio
from loadtests.timing import interleave
from tests.integration.triton.server import running


def measure(rounds: int) -> list[Ratio]:
    """See `loadtests.bench_triton`, of which this is the first part."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = random_bundle(folder / "bundle")
        template = mni_template()
        bare = bare_click(bundle, scan_bytes(template, 0))
        with (
            running(bundle.path, folder / "triton.log") as triton,
            server(bundle, folder / "state", "--triton-url", triton.url) as url,
            httpx.Client(base_url=url, timeout=120) as http,
        ):
            volume = add_volume(http, template, 0)
            times = interleave({"HTTP": lambda: click(http, volume), "bare": bare}, rounds)
            same = click(http, volume).content == bare()
    return [
        Ratio(
            "P6",
            "(fused cached click over HTTP and Triton - its parts bare) / these",
            times["HTTP"].median / times["bare"].median - 1,
            0.8,
            0.4,
            f"{ms(times['HTTP'])} / {ms(times['bare'])}",
            holds=same,
        )
    ]
