"""OHIF in a real browser, as a user has it: what is clicked, and what is drawn."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, Request, ViewportSize, sync_playwright

CHROMIUM: Final = "/usr/bin/chromium"
PATIENCE_SECONDS: Final = 120
"""For anything in the browser: other tests may have all cores, and it draws without a GPU."""

_FLAGS: Final = (
    *("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    "--ignore-gpu-blocklist",
)
_SIZE: Final[ViewportSize] = {"width": 1100, "height": 700}

_CANVAS: Final = """([name, [x, y, z]]) => {
  const all = window.cornerstone.getEnabledElements();
  const { viewport } = all.find(one => one.viewportId === name) ?? all[0];
  const { left, top } = viewport.canvas.getBoundingClientRect();
  const [right, down] = viewport.worldToCanvas([x, y, z]);
  return [left + right, top + down];
}"""
_PLACE: Final = """name => {
  const { viewport } = window.cornerstone.getEnabledElements().find(one => one.viewportId === name);
  const { left, top, right, bottom } = viewport.canvas.getBoundingClientRect();
  return [left, top, right, bottom];
}"""
_SHOW: Final = """([x, y, z]) => {
  const { viewport } = window.cornerstone.getEnabledElements()[0];
  const near = viewport.getImageIds().map(id => {
    const { imagePositionPatient } = window.cornerstone.metaData.get('imagePlaneModule', id);
    return Math.abs(imagePositionPatient[2] - z);
  });
  return viewport.setImageIdIndex(near.indexOf(Math.min(...near)));
}"""
_SLICE: Final = """z => {
  const pixels = new Set();
  for (const { segmentationId } of window.services.segmentationService.getSegmentations()) {
    const found = window.services.segmentationService.getSegmentation(segmentationId);
    for (const id of found.representationData.Labelmap.imageIds) {
      const image = window.cornerstone.cache.getImage(id);
      const plane = window.cornerstone.metaData.get('imagePlaneModule', image.referencedImageId);
      if (Math.abs(plane.imagePositionPatient[2] - z) > 0.1) continue;
      image.voxelManager.getScalarData().forEach((number, at) => {
        if (number) pixels.add(`${at}:${number}`);
      });
    }
  }
  return [...pixels].sort();
}"""
_DRAWN: Final = """() => {
  const counts = {};
  for (const { segmentationId } of window.services.segmentationService.getSegmentations()) {
    const found = window.services.segmentationService.getSegmentation(segmentationId);
    for (const id of found.representationData.Labelmap.imageIds) {
      for (const number of window.cornerstone.cache.getImage(id).voxelManager.getScalarData()) {
        if (number) counts[number] = (counts[number] ?? 0) + 1;
      }
    }
  }
  return counts;
}"""


class Viewer:
    """A page of OHIF.

    Attributes
    ----------
    page
        The browser's.
    faults
        What the page itself threw.
    """

    def __init__(self, page: Page, viewport: str) -> None:
        self.page = page
        self._viewport = viewport
        self._asked: list[tuple[str, str | None]] = []
        self.faults: list[str] = []
        page.set_default_timeout(1000 * PATIENCE_SECONDS)
        page.on("request", self._note)
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    def asked(self, *roots: str) -> list[str | None]:
        """The ``Authorization`` of every request so far whose address begins so."""
        return [header for path, header in self._asked if path.startswith(roots)]

    def confirm(self) -> None:
        """Close OHIF's notice, which lies over the lower part of the page."""
        self.page.locator("[data-cy=confirm-and-hide-button]").click()

    def show(self, place: tuple[float, float, float]) -> None:
        """Go to the slice of a place (LPS, mm)."""
        self.page.wait_for_function(
            "() => window.cornerstone?.getEnabledElements()[0]?.viewport.getImageIds?.().length > 1"
        )
        self.page.evaluate(_SHOW, place)
        self.page.wait_for_timeout(500)

    def at(self, place: tuple[float, float, float]) -> tuple[float, float]:
        """Where on the page a place (LPS, mm) of the slice that shows is."""
        x, y = self.page.evaluate(_CANVAS, [self._viewport, place])
        return x, y

    def click(self, place: tuple[float, float, float]) -> None:
        """Click on a place (LPS, mm) of the slice that shows."""
        self.page.mouse.click(*self.at(place))

    def drag(self, start: tuple[float, float, float], end: tuple[float, float, float]) -> None:
        """Draw from one place to another."""
        self.page.mouse.move(*self.at(start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(end), steps=5)
        self.page.mouse.up()

    def drawn(self) -> dict[int, int]:
        """Voxels of each segment in all that OHIF has as label maps."""
        found: dict[str, int] = self.page.evaluate(_DRAWN)
        return {int(number): count for number, count in found.items()}

    def slice_drawn(self, place: tuple[float, float, float]) -> list[str]:
        """Pixels of segments on the slice of a place (LPS, mm): where in it, and of which."""
        found: list[str] = self.page.evaluate(_SLICE, place[2])
        return found

    def wait_drawn(self, **voxels: int) -> None:
        """Wait until segments have their voxels, as ``s1=100, s2=20``; others may be there."""
        wanted = {int(name[1:]): count for name, count in voxels.items()}
        for _ in range(4 * PATIENCE_SECONDS):
            found = self.drawn()
            if all(found.get(number, 0) == count for number, count in wanted.items()):
                return
            self.page.wait_for_timeout(250)
        raise AssertionError(f"OHIF has {found} voxels, not {wanted}")

    def around(self, place: tuple[float, float, float]) -> NDArray[np.int64]:
        """Red, green, blue of 19 x 19 pixels around a place: [row, column, part]."""
        x, y = (round(number) for number in self.at(place))
        return self._pixels()[y - 9 : y + 10, x - 9 : x + 10]

    def tint(self, place: tuple[float, float, float]) -> NDArray[np.int64]:
        """Mean red, green, blue of pixels around a place, without the mark of a click on it."""
        pixels = self.around(place)
        ring = np.hypot(*np.mgrid[-9:10, -9:10]) > 7
        mean: NDArray[np.int64] = pixels[ring].mean(axis=0).round().astype(int)
        return mean

    def wait_red(self, viewport: str, wanted: bool) -> None:
        """Wait until a viewport has red pixels, or none."""
        for _ in range(PATIENCE_SECONDS):
            left, top, right, bottom = map(round, self.page.evaluate(_PLACE, viewport))
            red, green, blue = np.moveaxis(self._pixels()[top:bottom, left:right], -1, 0)
            if bool(((red > green + 40) & (red > blue + 40)).any()) == wanted:
                return
            self.page.wait_for_timeout(1000)
        raise AssertionError(f"{viewport} {'has no' if wanted else 'has'} red pixels")

    def picture(self, name: str, folder: Path) -> None:
        """Keep a picture: in the folder that SAMMOE_SCREENSHOTS names, else in the test's own."""
        kept = Path(os.environ.get("SAMMOE_SCREENSHOTS") or folder)
        kept.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(self._pixels().astype(np.uint8))
        few = image.quantize(160, Image.Quantize.MAXCOVERAGE)
        few.save(kept / f"{name}.png", optimize=True)

    def _note(self, sent: Request) -> None:
        path = re.sub(r"^https?://[^/]+", "", sent.url)
        self._asked.append((path, sent.headers.get("authorization")))

    def _pixels(self) -> NDArray[np.int64]:
        return np.asarray(Image.open(BytesIO(self.page.screenshot())).convert("RGB")).astype(int)


@contextmanager
def browsing(viewport: str = "") -> Iterator[Viewer]:
    """A browser with one empty page; ``viewport``: where to click, by default in the first."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        try:
            yield Viewer(browser.new_page(viewport=_SIZE), viewport)
        finally:
            browser.close()
