"""The page at /viewer/ in headless Chromium: from a click to the mask on the screen.

``python -m loadtests.bench_page`` opens the sample scan, makes the first click of each of several
structures (the encoder runs there), and then refines each with further clicks, whose embeddings
are at hand. It needs Chromium and the built page (``make viewer``).

Times are the page's own: from the release of the mouse until the graphics card has drawn the
mask; of them in the service and on the way, from the request's start to its answer's end. Bytes are
those of the answer's body, with the mask, the route and all else, over a raw mask of the scan, a
byte a voxel.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from tqdm import tqdm

from tests.integration.serving import serving
from tests.integration.viewer_page import ROOT, SAMPLE, ViewerPage, browsing

SHAPE: Final = (145, 181, 155)

STARTS: Final = {
    "thalamus": (82, 86),
    "caudate": (85, 118),
    "putamen": (97, 108),
    "ventricle": (79, 110),
    "occipital": (60, 30),
}
"""Voxels i and j of the slice in which the sample opens."""

NEAR: Final = ((3, 0), (0, 4), (-3, -2), (2, -4), (-2, 3), (4, 3), (-4, 1), (1, -3))
"""Where the further clicks of a structure are, from its first one."""

_MEASURED: Final = """() => {
  const clicks = performance.getEntriesByName('click to overlay');
  const asked = performance.getEntriesByType('resource').filter(
    ({name, initiatorType}) => initiatorType === 'fetch' && name.endsWith('/segmentations'));
  return [clicks.at(-1).duration, asked.at(-1).responseEnd - asked.at(-1).requestStart,
    asked.at(-1).encodedBodySize];
}"""


@dataclass(frozen=True)
class Click:
    """One click that was seen.

    Attributes
    ----------
    whole, service
        Milliseconds.
    body
        Bytes of the answer.
    mask
        Bytes of its packed mask.
    """

    structure: str
    first: bool
    whole: float
    service: float
    body: int
    mask: int


def clicks(shown: ViewerPage, url: str, further: int) -> Iterator[Click]:
    """Click on each structure in turn."""
    page = shown.page
    shown.open(url)
    shown.wait_for_scan()
    axial = shown.plane(SHAPE)
    count = 0
    with httpx.Client(base_url=url) as http:
        for name, (i, j) in STARTS.items():
            shown.button("New").click()
            for number, (di, dj) in enumerate(((0, 0), *NEAR[:further])):
                page.wait_for_timeout(1200)  # surfaces, diameters, the result: all of it is done
                count += 1
                page.mouse.click(*axial.spot(i + di, j + dj))
                shown.wait_for_answer(count)
                page.wait_for_timeout(200)
                whole, service, body = page.evaluate(_MEASURED)
                volume = shown.address()["volume"]
                newest = http.get(f"/v1/volumes/{volume}/segmentations?limit=1").json()["items"][0]
                packed = http.get(
                    f"/v1/segmentations/{newest['id']}/mask",
                    headers={"Accept": "application/vnd.sammoe.mask"},
                )
                yield Click(name, number == 0, whole, service, body, len(packed.content))


def report(made: Sequence[Click]) -> None:
    """Print a row for each structure, and the figures."""
    raw = SHAPE[0] * SHAPE[1] * SHAPE[2]
    print(
        f"{'':<12}{'first click':>14}{'further, p50':>14}{'service':>10}{'answer':>10}{'of raw':>9}"
    )
    for name in STARTS:
        own = [click for click in made if click.structure == name]
        later = [click for click in own if not click.first]
        body = statistics.fmean(click.body for click in own)
        print(
            f"{name:<12}{own[0].whole:>11.0f} ms"
            f"{statistics.median(click.whole for click in later):>11.0f} ms"
            f"{statistics.median(click.service for click in later):>7.0f} ms"
            f"{body / 1024:>7.1f} kB{100 * body / raw:>7.2f} %"
        )
    later = [click for click in made if not click.first]
    whole, service = (
        sorted(getattr(click, name) for click in later) for name in ("whole", "service")
    )
    most = max(made, key=lambda click: click.body)
    print(
        f"cached click to overlay: p50 {statistics.median(whole):.0f} ms, p95"
        f" {whole[int(0.95 * len(whole))]:.0f} ms; service p50 {statistics.median(service):.0f} ms;"
        f" {len(later)} clicks"
    )
    print(
        f"bytes answered per click over the raw mask: mean"
        f" {100 * statistics.fmean(click.body for click in made) / raw:.3f} %, most"
        f" {100 * most.body / raw:.3f} %; packed masks alone"
        f" {100 * statistics.fmean(click.mask for click in made) / raw:.3f} %"
    )


def main() -> None:
    """Serve, click, print."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_page", description=__doc__)
    parser.add_argument("--further", type=int, default=len(NEAR), choices=range(1, len(NEAR) + 1))
    parser.add_argument("--bundle", type=Path, default=ROOT / "model_repo")
    arguments = parser.parse_args()
    assert SAMPLE.is_file()
    with (
        tempfile.TemporaryDirectory(prefix="sammoe-page-") as folder,
        serving(arguments.bundle, Path(folder) / "state", "--threads", "0") as server,
        browsing() as shown,
    ):
        made = clicks(shown, server.url, arguments.further)
        total = len(STARTS) * (1 + arguments.further)
        report(list(tqdm(made, total=total, unit="click", leave=False)))


if __name__ == "__main__":
    main()
