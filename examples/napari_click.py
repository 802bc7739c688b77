"""Click in napari's window, by its nnInteractive plugin as it comes, and take a picture of it.

Needs a running service, and a Python of its own with napari and the plugin::

    python -m venv .venv-napari
    .venv-napari/bin/pip install "napari[pyqt6]" napari-nninteractive
    .venv-napari/bin/python -m examples.napari_click http://127.0.0.1:8000 docs/images/napari.png

Without a screen, put ``LIBGL_ALWAYS_SOFTWARE=1 xvfb-run`` before the last command. The address is
typed and the buttons are pressed as anybody would; a structure is clicked on, another gets a box.
Ends with an error when a mask is not where it was asked for.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import napari
import numpy as np
from napari.utils.notifications import notification_manager
from PIL import Image
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

SAMPLE: Final = Path(__file__).resolve().parents[1] / "clients/viewer/public/sample.nii.gz"
PLUGIN: Final = ("napari-nninteractive", "nnInteractive")
LABELS: Final = "nnInteractive - Label Layer"
POINT, BOX = 0, 1

THALAMUS: Final = (80, 89, 82)
CAUDATE: Final = ((80, 106, 54), (80, 136, 68))
"""Index (k, j, i) into the array that the plugin's reader makes of the sample."""

COLOURS: Final = 96
SECONDS: Final = 60.0


class Window:
    """napari with a scan, and the plugin beside it."""

    def __init__(self, scan: Path) -> None:
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1280, 800)
        (self.scan,) = self.viewer.open(str(scan), plugin="napari-nifti")
        _, self.plugin = self.viewer.window.add_plugin_dock_widget(*PLUGIN)
        QTest.qWait(500)

    @property
    def canvas(self) -> Any:
        """The widget that is clicked on."""
        return self.viewer.window._qt_viewer.canvas.native

    @property
    def mask(self) -> Any:
        """uint8 [k, j, i] of the structure that is being drawn."""
        return self.viewer.layers[LABELS].data

    def connect(self, url: str) -> None:
        """Type the service's address, and press Initialize."""
        plugin = self.plugin
        plugin.server_url_edit.clear()
        QTest.keyClicks(plugin.server_url_edit, f"{url.rstrip('/')}/nninteractive")
        QTest.keyClick(plugin.server_url_edit, Qt.Key_Return)
        self.press(plugin.init_button)
        self.wait(lambda: any(layer.name.endswith("Point Layer") for layer in self.viewer.layers))

    def press(self, button: Any) -> None:
        """Press a button of the plugin."""
        QTest.mouseClick(button, Qt.LeftButton)
        QTest.qWait(300)

    def choose(self, tool: int) -> None:
        """Points or boxes."""
        self.press(self.plugin.interaction_button.buttons[tool])

    def click(self, place: tuple[int, int, int]) -> None:
        """On a voxel, in its slice."""
        self.show(place)
        QTest.mouseClick(self.canvas, Qt.LeftButton, Qt.NoModifier, self.pixel(place))
        self.wait(lambda: self.mask[place])

    def drag(self, corners: tuple[tuple[int, int, int], tuple[int, int, int]]) -> None:
        """A box in a slice."""
        self.show(corners[0])
        start, stop = map(self.pixel, corners)
        QTest.mousePress(self.canvas, Qt.LeftButton, Qt.NoModifier, start)
        for share in (0.5, 1.0):
            self.move(start + (stop - start) * share)
        QTest.mouseRelease(self.canvas, Qt.LeftButton, Qt.NoModifier, stop)
        inside = tuple(slice(lo, hi + 1) for lo, hi in zip(*corners, strict=True))
        self.wait(lambda: self.mask[inside].any())

    def show(self, place: tuple[int, int, int]) -> None:
        """The slice of a voxel."""
        self.viewer.dims.set_point(range(3), self.scan.data_to_world(place))
        QTest.qWait(300)

    def pixel(self, place: tuple[int, int, int]) -> QPoint:
        """Where a voxel of the slice that shows is on the canvas."""
        world = self.scan.data_to_world(place)
        down, right = self.viewer.dims.displayed
        canvas = self.viewer.window._qt_viewer.canvas
        to_canvas = canvas.view.scene.node_transform(canvas._scene_canvas.scene)
        x, y, _, scale = to_canvas.map([world[right], world[down], 0, 1])
        return QPoint(round(x / scale), round(y / scale))

    def move(self, to: QPoint) -> None:
        """The mouse, with its left button held."""
        there = QPointF(to), QPointF(self.canvas.mapToGlobal(to))
        held = (Qt.NoButton, Qt.LeftButton, Qt.NoModifier)
        QApplication.sendEvent(self.canvas, QMouseEvent(QEvent.MouseMove, *there, *held))
        QTest.qWait(50)

    def wait(self, until: Callable[[], Any]) -> None:
        """Until something is so."""
        end = time.monotonic() + SECONDS
        while not until():
            QTest.qWait(50)
            said = [record.message for record in notification_manager.records]
            if said or time.monotonic() > end:
                raise SystemExit(f"napari: {said or 'nothing happens'}")

    def picture(self, path: Path) -> None:
        """Save what shows."""
        QTest.qWait(500)
        pixels = self.viewer.screenshot(canvas_only=False, flash=False)
        Image.fromarray(np.asarray(pixels)[..., :3]).quantize(COLOURS).save(path, optimize=True)


def main() -> int:
    """Click and take the picture; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="of the service")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    args = parser.parse_args()
    window = Window(SAMPLE)
    try:
        with notification_manager:
            window.connect(args.url)
            window.click(THALAMUS)
            print(f"point: {window.mask.sum()} voxels")
            window.press(window.plugin.reset_button)
            window.choose(BOX)
            window.drag(CAUDATE)
            print(f"box: {window.mask.sum()} voxels")
            window.picture(args.picture)
    finally:
        window.viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
