"""The page at /viewer/ in a real browser: what a user does there, and what is drawn."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, ViewportSize, expect, sync_playwright

ROOT: Final = Path(__file__).resolve().parents[2]
SAMPLE: Final = ROOT / "clients" / "viewer" / "public" / "sample.nii.gz"
AXE: Final = ROOT / "clients" / "viewer" / "node_modules" / "axe-core" / "axe.min.js"

CHROMIUM: Final = "/usr/bin/chromium"
PATIENCE_MS: Final = 120_000
"""For anything in the browser: other tests may have all cores, and it draws without a GPU."""

_FLAGS: Final = (
    *("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    "--ignore-gpu-blocklist",
)
_SIZE: Final[ViewportSize] = {"width": 1100, "height": 680}

_PLANES: Final = {
    "axial": (0, 1, (0, 0, 0.64, 1)),
    "coronal": (0, 2, (0.64, 0, 0.36, 1 / 3)),
    "sagittal": (1, 2, (0.64, 1 / 3, 0.36, 1 / 3)),
}
"""Axes of each plane, and its share of the stage (left, top, width, height): `view/layout.ts`."""

_COLOURED: Final = 14
"""Least difference of two channels in a mask; a scan itself is grey."""


@contextmanager
def browsing() -> Iterator["ViewerPage"]:
    """A browser with one empty page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        page = browser.new_page(viewport=_SIZE, accept_downloads=True)
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        shown = ViewerPage(page)
        try:
            yield shown
        finally:
            browser.close()


@dataclass(frozen=True)
class Plane:
    """A plane of a scan whose voxels are 1 mm wide, as the page lays it out.

    Attributes
    ----------
    left, top, width, height
        Of the plane, CSS pixels.
    across, up
        Voxels of the scan in the order right, front, head, along the plane's two axes.
    """

    left: float
    top: float
    width: float
    height: float
    across: int
    up: int

    @property
    def scale(self) -> float:
        """Pixels of a voxel."""
        return min(self.width / self.across, self.height / self.up)

    def spot(self, across: float, up: float) -> tuple[float, float]:
        """Where the middle of a voxel is seen: the patient's right, or front, is at the left."""
        from_middle = (across + 0.5 - self.across / 2) * self.scale
        above_middle = (up + 0.5 - self.up / 2) * self.scale
        return (
            self.left + self.width / 2 - from_middle,
            self.top + self.height / 2 - above_middle,
        )


class ViewerPage:
    """The page, and what it complained of.

    Attributes
    ----------
    page
        The browser's.
    faults
        What the page threw, and what its policy refused.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda told: self._note(told.type, told.text))

    def _note(self, kind: str, text: str) -> None:
        # A request that is refused or not answered is told, too; what the page makes of it is seen.
        if kind == "error" and "Failed to load resource" not in text:
            self.faults.append(text)

    def open(self, url: str) -> None:
        """Go to the service's bare address."""
        self.page.goto(f"{url}/")

    def wait_for_scan(self) -> None:
        """Until a scan is shown."""
        expect(self.page).to_have_title(re.compile("×"))

    def wait_for_answer(self, count: int) -> None:
        """Until so many clicks were answered and shown since the page was loaded."""
        self.wait_until(f"performance.getEntriesByName('click to overlay').length >= {count}")

    def wait_until(self, expression: str) -> None:
        """Until an expression holds. Not `wait_for_function`, which the page's policy forbids."""
        for _ in range(PATIENCE_MS // 50):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(expression)

    def wait_kept(self) -> str:
        """Until the address names a result; its id."""
        self.wait_until("location.hash.includes('result=')")
        return self.address()["result"]

    def address(self) -> dict[str, str]:
        """What the address names after the #."""
        return dict(re.findall(r"(\w+)=(\w+)", self.page.url.partition("#")[2]))

    def button(self, name: str) -> Locator:
        """A button by its accessible name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def plane(self, shape: tuple[int, int, int], name: str = "axial") -> Plane:
        """One of the planes of a scan of so many voxels to the right, front and head."""
        box = self.page.locator(".marks").bounding_box()
        assert box is not None
        across, up, (x, y, width, height) = _PLANES[name]
        return Plane(
            box["x"] + x * box["width"],
            box["y"] + y * box["height"],
            width * box["width"],
            height * box["height"],
            shape[across],
            shape[up],
        )

    def picture(self) -> NDArray[np.int16]:
        """What is seen: [y, x, 3], CSS pixels."""
        shot = Image.open(BytesIO(self.page.screenshot())).convert("RGB")
        return np.asarray(shot).astype(np.int16)

    def is_coloured(self, spot: tuple[float, float]) -> bool:
        """Whether a mask is seen at a place."""
        x, y = (round(value) for value in spot)
        around = self.picture()[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(axis=0)
        return bool(np.ptp(around) >= _COLOURED)

    def expect_coloured(self, spot: tuple[float, float], *, coloured: bool) -> None:
        """Wait until a mask is seen at a place, or none."""
        for _ in range(40):
            if self.is_coloured(spot) == coloured:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"at {spot} a mask is seen: {not coloured}")

    def violations(self) -> list[str]:
        """Serious and critical faults that axe finds in what is shown now."""
        self.page.evaluate(AXE.read_text())
        found: list[dict[str, Any]] = self.page.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)"
        )
        return [
            f"{rule['id']}: {[node['target'] for node in rule['nodes']]}"
            for rule in found
            if rule["impact"] in {"serious", "critical"}
        ]
