"""Hollow organs of the belly: small bowel, colon, stomach and duodenum, with what is in them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sammoe.training.data.anatomy import Part
from sammoe.training.data.canvas import Canvas, Solid, curve
from sammoe.training.data.frame import Body

_COLON = (
    (92, 12, -150), (100, 8, -110), (104, 0, -60), (102, 10, -15), (80, 45, -20), (35, 66, -38),
    (-15, 68, -40), (-60, 58, -10), (-98, 15, 30), (-108, -18, 5), (-108, -15, -60),
    (-100, 0, -120), (-70, 20, -155), (-25, 5, -150), (15, -10, -165), (10, -38, -185),
    (0, -42, -215), (0, -40, -262),
)  # fmt: skip
_STOMACH = ((-58, -28, 88), (-72, -12, 62), (-70, 22, 38), (-48, 48, 14), (-8, 54, 2), (28, 36, 4))
_STOMACH_RADII = (30.0, 40, 36, 30, 22, 13)
_DUODENUM = ((30, 32, 2), (46, 10, -8), (48, -4, -38), (30, -8, -62), (-5, -6, -58), (-30, 15, -45))


def paint_small_bowel(canvas: Canvas, body: Body, over: Sequence[int]) -> None:
    """Loops that fill the belly, more or less of it with the amount of fat."""
    rng = canvas.rng
    room = np.array([106.0, 60, 112]) * (1.05 - 0.25 * body.fat * rng.random())
    radius = rng.uniform(9, 15)
    for _ in range(round(6.5 - 5 * body.fat)):
        path = wander(rng, np.array([0.0, 24, -88]), room, steps=int(rng.integers(40, 75)))
        loops = canvas.tube(path, radius * rng.uniform(0.75, 1.25, len(path)))
        kinds = np.array([Part.BOWEL_WALL, Part.BOWEL_FLUID, Part.BOWEL_CONTRAST, Part.BOWEL_GAS])
        chosen = rng.choice(kinds, size=400, p=rng.dirichlet([1.2, 1.5, 0.6, 0.35]))
        _paint_hollow(canvas, loops, Part.BOWEL_WALL, chosen, over, wall=2.6, chunk=18)


def paint_colon(canvas: Canvas, over: Sequence[int]) -> None:
    """Caecum to rectum, pouched, with stool, fluid and gas."""
    rng = canvas.rng
    path, _ = curve(np.array(_COLON) + rng.normal(0, 9, (len(_COLON), 3)) * (1, 0.7, 1), 1.0)
    along = np.arange(len(path)) * 3.0
    radius = np.interp(along, np.linspace(0, along[-1], 8), rng.uniform(12, 25, 8))
    radius = radius * (1 + 0.16 * np.sin(along * 2 * np.pi / rng.uniform(24, 34)))
    colon = canvas.tube(path[::2], radius[::2])
    kinds = np.array([Part.COLON_WALL, Part.COLON_STOOL, Part.COLON_FLUID, Part.COLON_GAS])
    chosen = rng.choice(kinds, size=400, p=rng.dirichlet([0.5, 1.5, 0.7, 1.2]))
    _paint_hollow(canvas, colon, Part.COLON_WALL, chosen, over, wall=2.6, chunk=14)


def paint_stomach(canvas: Canvas, over: Sequence[int]) -> None:
    """Stomach with a fluid level, and the duodenum."""
    rng = canvas.rng
    fill = rng.uniform(0.5, 1.15)
    path = np.array(_STOMACH) + rng.normal(0, 6, 3) + rng.normal(0, 4, (6, 3))
    bag = canvas.tube(path, np.array(_STOMACH_RADII) * fill)
    bag = bag.but(bag.out + 2.0 * canvas.rough(bag.box))
    canvas.paint(bag, Part.STOMACH_WALL, over=over)
    canvas.paint(bag, Part.STOMACH_FLUID, over=(Part.STOMACH_WALL,), deep=rng.uniform(3, 6))
    _, y, _ = canvas.axes(bag.box)
    level = rng.choice([rng.uniform(-10, 70), 200.0], p=[0.7, 0.3])
    gas = bag.but(np.maximum(bag.out + 4, np.float32(level) - y))
    canvas.paint(gas, Part.STOMACH_GAS, over=(Part.STOMACH_FLUID,))
    bow = np.array(_DUODENUM) + rng.normal(0, 5, (6, 3))
    canvas.paint(canvas.tube(bow, rng.uniform(8, 13)), Part.DUODENUM, over=over)


def wander(
    rng: np.random.Generator, middle: NDArray[np.float64], room: NDArray[np.float64], steps: int
) -> NDArray[np.float64]:
    """A winding path [steps, 3] within an ellipsoid of radii `room` about `middle`, mm."""
    at = middle + room * rng.uniform(-0.5, 0.5, 3)
    way = rng.standard_normal(3)
    path = []
    for _ in range(steps):
        way = 0.75 * way + 0.8 * rng.standard_normal(3)
        off = (at - middle) / room
        far = float(np.linalg.norm(off))
        if far > 0.85:
            way = way - 1.6 * (far - 0.6) * off / far * np.linalg.norm(way)
        way /= np.linalg.norm(way)
        at = at + 17 * way
        path.append(at)
    return np.array(path)


def _paint_hollow(
    canvas: Canvas,
    tube: Solid,
    wall_label: int,
    contents: NDArray[np.integer],
    over: Sequence[int],
    *,
    wall: float,
    chunk: int,
) -> None:
    """Wall, and per stretch of the path one content; gas rises to the front."""
    assert tube.owner is not None
    part = canvas.labels[tube.box]
    # Along the path the content changes every `chunk` points.
    inner = contents[(tube.owner // chunk) % len(contents)].astype(np.uint8)
    free = canvas.of(part, over)
    part[free & (tube.out < 0)] = wall_label
    deep = free & (tube.out < -wall)
    part[deep] = inner[deep]
