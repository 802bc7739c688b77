"""The torso's frame: outline, wall, diaphragm, lungs, spine, ribs, pelvis and muscles.

Reference body: x to the patient's right, y to the front, z to the head, mm; z = 0 is the middle of
the first lumbar vertebra, x = y = 0 the axis of the trunk.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sammoe.training.data.anatomy import VERTEBRAE, Part
from sammoe.training.data.canvas import Canvas, Solid

SIDES = ((1, "R"), (-1, "L"))
_Z = (-330, -240, -150, -90, 0, 60, 130, 220, 300)
_HALF_WIDTH = (168, 174, 156, 142, 140, 146, 152, 162, 165)
_HALF_DEPTH = (92, 98, 96, 90, 90, 98, 108, 106, 85)
_CAVITY_Z = (-285, -245, -200, -145, -100, 0, 60, 130, 220, 300)
_CAVITY_WIDTH = (1, 38, 62, 106, 124, 127, 128, 130, 108, 55)
_CAVITY_DEPTH = (1, 36, 56, 72, 78, 80, 84, 91, 82, 45)
_SPINE_Z = (-260, -210, -165, -120, -60, 0, 60, 120, 200, 300)
_SPINE_Y = (-48, -70, -66, -48, -36, -41, -52, -62, -66, -52)
_VERTEBRA_Z = (
    -135,
    -102,
    -68,
    -34,
    0,
    31,
    59,
    86,
    112,
    137,
    161,
    184,
    207,
    229,
    250,
    270,
    290,
    310,
)
_SACRUM_TOP = -152.0


@dataclass(frozen=True)
class Body:
    """What differs between people.

    ``fat`` (0 to 1) fills the belly, ``skin_fat`` is the mean thickness under the skin (mm),
    ``dome`` the height of the diaphragm (mm), ``corners`` the power of the cross-section.
    """

    fat: float
    skin_fat: float
    dome: float
    corners: float

    @staticmethod
    def draw(rng: np.random.Generator) -> "Body":
        """A random person."""
        fat = float(rng.beta(1.3, 1.5))
        skin = float(np.clip(4 + 26 * fat + rng.normal(0, 7), 3, 45))
        return Body(fat, skin, float(rng.uniform(92, 128)), float(rng.uniform(2.1, 2.7)))


def spine_y(z: ArrayLike) -> NDArray[np.float32]:
    """Where the middle of the vertebral bodies lies at height z, mm."""
    height: NDArray[np.float64] = np.asarray(z, float)
    return np.asarray(np.interp(height, _SPINE_Z, _SPINE_Y), np.float32)


def paint_outline(canvas: Canvas, body: Body) -> None:
    """Air, skin, fat, wall muscle, and the cavity filled with fat; lungs above the diaphragm."""
    x, y, z = canvas.axes()
    everything = canvas.box(*_all())
    swell = np.float32(1 + 0.14 * body.fat)

    def beyond(width: tuple[int, ...], depth: tuple[int, ...], at: tuple[int, ...]) -> Solid:
        a = np.interp(z, at, width).astype(np.float32)
        b = np.interp(z, at, depth).astype(np.float32) * swell
        n = np.float32(body.corners)
        r = (np.abs(x) / a) ** n + (np.abs(y) / b) ** n
        r = np.maximum(r ** (1 / n), np.float32(0.02))
        return Solid(everything, np.sqrt(x * x + y * y) * (1 - 1 / r))

    outer = beyond(_HALF_WIDTH, _HALF_DEPTH, _Z)
    cavity = beyond(_CAVITY_WIDTH, _CAVITY_DEPTH, _CAVITY_Z)
    # Fat under the skin is thickest at the flanks and the back.
    share = 0.75 + 0.25 * np.abs(x) / 140 - 0.35 * y / 100
    thick = np.clip(share, 0.3, 1.6) * body.skin_fat + 2 * canvas.rough(everything, 50)
    canvas.paint(outer.but(outer.out - thick - np.float32(3)), Part.SKIN)
    canvas.paint(outer.but(outer.out - thick), Part.FAT)
    canvas.paint(outer.but(outer.out + 1.0 * canvas.rough(everything)), Part.MUSCLE)
    planes = np.abs(canvas.rough(everything)) * 12 - 0.9
    deep = (z > -90) * np.float32(9)
    canvas.paint(outer.but(planes + deep * (y > -60)), Part.FAT, over=(Part.MUSCLE,))
    back = spine_y(z) - 10 - 0.36 * np.abs(x)
    inside = np.maximum(cavity.out + canvas.rough(everything), (back - y).astype(np.float32))
    canvas.paint(cavity.but(inside), Part.INNER_FAT)
    _paint_thorax(canvas, body, cavity.but(inside))


def _all() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.full(3, -1e4), np.full(3, 1e4)


def _paint_thorax(canvas: Canvas, body: Body, cavity: Solid) -> None:
    x, y, z = canvas.axes()
    rho = np.sqrt((x / 128) ** 2 + ((y + 4) / 86) ** 2)
    drop = np.where(y > 0, 52, 95)
    dome = body.dome + 7 * np.tanh(x / 25) - 7 * np.exp(-((x / 22) ** 2)) - drop * rho**5.5
    below = (dome.astype(np.float32) + 2 * canvas.rough(cavity.box)[:, :, :1]) - z
    chest = np.maximum(cavity.out, below)
    middle = np.hypot((x + 4) / 30, (y - 5) / 85) - 1 + 0.12 * canvas.rough(cavity.box)
    lung = np.maximum(chest, -middle * 20)
    canvas.paint(cavity.but(np.maximum(cavity.out, np.abs(below) - 2.4)), Part.DIAPHRAGM)
    canvas.paint(cavity.but(np.maximum(lung, -x)), Part.LUNG_R)
    canvas.paint(cavity.but(np.maximum(lung, x)), Part.LUNG_L)


def paint_muscles(canvas: Canvas, rng: np.random.Generator) -> None:
    """Back muscles, gluteal muscles, quadratus lumborum, iliacus and psoas."""
    size = rng.uniform(0.8, 1.15)
    zs = np.array([-190.0, -140, -80, -20, 50, 130, 220])
    inner = (Part.MUSCLE, Part.FAT, Part.INNER_FAT)
    for side, name in SIDES:
        for x, r in ((19.0, 15.0), (38.0, 15.0)):
            path = np.stack([np.full(7, side * x), spine_y(zs) - 27, zs], 1)
            taper = r * size * np.array([0.5, 0.9, 1.1, 1.1, 0.9, 0.75, 0.7])
            canvas.paint(canvas.tube(path, taper), Part[f"BACK_{name}"], over=inner)
        glute = canvas.ellipsoid((side * 78, -62, -200), (72, 42, 80), turn=(0.3, 0, 0), rough=3)
        canvas.paint(glute.but(glute.out - 2), Part.FAT, over=(Part.MUSCLE,))
        canvas.paint(glute, Part[f"GLUTEUS_{name}"], over=(Part.MUSCLE, Part.FAT))
        paint = canvas.ellipsoid((side * 66, -56, -60), (17, 12, 55), rough=1)
        canvas.paint(paint, Part.MUSCLE, over=inner)
        iliac = canvas.tube([(side * 88, -8, -130), (side * 84, 8, -190)], [15, 17])
        canvas.paint(iliac, Part.MUSCLE, over=inner)
        loin = [(27, -40, 5), (37, -34, -50), (48, -26, -110), (62, 2, -180), (86, 18, -250)]
        radii = size * np.array([6.0, 16, 21, 20, 13])
        psoas = canvas.tube(np.array(loin) * (side, 1, 1), radii)
        canvas.paint(psoas, Part[f"PSOAS_{name}"], over=inner)


def paint_bones(canvas: Canvas, rng: np.random.Generator) -> None:
    """Ribs, sternum, spine with discs, canal and cord, sacrum, hips and femurs."""
    _paint_ribs(canvas, rng)
    _paint_spine(canvas, rng)
    for side, name in SIDES:
        _paint_hip(canvas, side, name)


def _bone(canvas: Canvas, solid: Solid, hard: int, spongy: int, wall: float = 3.0) -> None:
    canvas.paint(solid, hard)
    canvas.paint(solid, spongy, deep=wall)


def _paint_ribs(canvas: Canvas, rng: np.random.Generator) -> None:
    slope = rng.uniform(60, 85)
    thick = rng.uniform(4.2, 5.4)
    for k in range(11):
        top = _VERTEBRA_Z[k + 5]
        end = (0.36, 0.52, 0.72, 0.78, 0.82, 0.84)[min(k, 5)] * np.pi
        phi = np.linspace(0.14, end, 9)
        z = top - slope * (phi / np.pi) ** 1.2
        a, b = np.interp(z, _Z, _HALF_WIDTH) - 13, np.interp(z, _Z, _HALF_DEPTH) - 11
        path = np.stack([a * np.sin(phi) ** 0.85, -b * np.cos(phi), z], 1)
        for side, _ in SIDES:
            rib = canvas.tube(path * (side, 1, 1), thick)
            _bone(canvas, rib, Part.RIB, Part.MARROW, 2.6)
            if k >= 2:
                front = (side * 14, b[-1] + 3, z[-1] + min(55, 14 * (k - 1)))
                canvas.paint(canvas.tube([path[-1] * (side, 1, 1), front], thick), Part.CARTILAGE)
    breast = canvas.ellipsoid((0, 99, 165), (18, 7, 70), power=4)
    _bone(canvas, breast, Part.STERNUM, Part.MARROW, 3.5)


def _paint_spine(canvas: Canvas, rng: np.random.Generator) -> None:
    width, depth = rng.uniform(19, 23), rng.uniform(14.5, 17.5)
    box = canvas.box((-45, -110, _SACRUM_TOP - 5), (45, 0, 330))
    x, y, z = canvas.axes(box)
    y = y - spine_y(z)
    radial = (np.hypot(x / width, y / depth) - 1) * np.float32(depth)
    canvas.paint(Solid(box, radial + 1.5), Part.DISC)
    for k, (centre, gap) in enumerate(zip(_VERTEBRA_Z, np.gradient(_VERTEBRA_Z), strict=True)):
        _paint_vertebra(canvas, k % VERTEBRAE, centre, float(gap), width, depth)
    canal = np.hypot(x / 11, (y + depth + 8) / 8.5) - 1
    canvas.paint(Solid(box, canal * 8), Part.CANAL)
    cord = np.hypot(x / 6, (y + depth + 8) / 4.6) - 1
    canvas.paint(Solid(box, np.maximum(cord * 5, -18 - z)), Part.CORD)
    zs = np.linspace(_SACRUM_TOP - 8, -255, 6)
    path = np.stack([np.zeros(6), spine_y(zs) - 4, zs], 1)
    _bone(canvas, canvas.tube(path, [19, 18, 15, 12, 8, 5]), Part.SACRUM, Part.SACRUM_SPONGY)
    for side, _ in SIDES:
        wing = canvas.tube(path[:4] + np.array([side * 24, -6, 0]), [18, 17, 12, 6])
        _bone(canvas, wing, Part.SACRUM, Part.SACRUM_SPONGY)


def _paint_vertebra(
    canvas: Canvas, k: int, centre: float, gap: float, width: float, depth: float
) -> None:
    box = canvas.box((-50, -115, centre - gap), (50, 0, centre + gap))
    x, y, z = canvas.axes(box)
    up = z - np.float32(centre)
    y = y - spine_y(z)
    waist = 1 + 0.12 * ((up / (0.4 * gap)) ** 2 - 0.7)
    trunk = (np.hypot(x / (width * waist), y / (depth * waist)) - 1) * np.float32(depth)
    trunk = np.maximum(trunk, np.abs(up) - 0.40 * gap)
    canal = y + depth + 8
    ring = np.hypot(x / 1.2, canal)
    arch = np.maximum(np.abs(ring - 12) - 3.0, np.abs(up + 0.05 * gap) - 0.3 * gap)
    tilt = up - 0.35 * (canal + 12)
    spinous = np.maximum(np.abs(x) - 3.2, np.maximum(np.abs(canal + 24) - 13, np.abs(tilt) - 7))
    across = np.maximum(np.abs(np.abs(x) - 25) - 14, np.hypot(canal - 1, up) - 4.8)
    joint = np.sqrt((np.abs(x) - 15) ** 2 + (canal + 8) ** 2 + (np.abs(up) - 0.4 * gap) ** 2) - 6.5
    parts = (trunk, arch, spinous, across, joint)
    whole = np.minimum.reduce(np.broadcast_arrays(*parts)).astype(np.float32)
    _bone(canvas, Solid(box, whole), Part.VERTEBRA + 2 * k, Part.VERTEBRA + 2 * k + 1, 2.5)


def _paint_hip(canvas: Canvas, side: int, name: str) -> None:
    hip, inner = Part[f"HIP_{name}"], Part[f"HIP_{name}_SPONGY"]
    femur, marrow = Part[f"FEMUR_{name}"], Part[f"FEMUR_{name}_SPONGY"]
    wing = canvas.ellipsoid((side * 38, 2, -165), (92, 82, 95))
    x, y, z = canvas.axes(wing.box)
    crest = z + 98 + 0.008 * (y + 12) ** 2
    sheet = np.maximum(np.abs(wing.out) - 5, np.maximum(crest, 38 - side * x))
    sheet = np.maximum(sheet, np.maximum(-225 - z, y - 46 - 0.2 * (z + 165)))
    _bone(canvas, wing.but(sheet.astype(np.float32)), hip, inner)
    tubes: tuple[tuple[list[tuple[int, int, int]], list[int]], ...] = (
        ([(92, 4, -222), (92, 4, -223)], [31, 31]),
        ([(85, -5, -238), (66, -34, -268), (56, -34, -288)], [15, 15, 11]),
        ([(76, 20, -235), (42, 50, -240), (8, 56, -252)], [11, 8, 9]),
        ([(9, 52, -258), (30, 20, -276), (52, -25, -288)], [6, 6, 9]),
    )
    for path, radii in tubes:
        _bone(canvas, canvas.tube(np.array(path) * (side, 1, 1), radii), hip, inner)
    shaft = [(120, -3, -246), (128, -5, -268), (124, 0, -340)]
    canvas.paint(canvas.ellipsoid((side * 96, 5, -224), (26, 26, 26)), Part.CARTILAGE)
    for bone, wall in (
        (canvas.ellipsoid((side * 96, 5, -224), (23, 23, 23)), 2.5),
        (canvas.tube(np.array([(98, 5, -226), (122, -3, -250)]) * (side, 1, 1), [14, 15]), 3.0),
        (canvas.ellipsoid((side * 132, -12, -246), (15, 17, 22)), 2.5),
        (canvas.tube(np.array(shaft) * (side, 1, 1), [16, 16, 14]), 6.0),
    ):
        canvas.paint(bone, femur)
        canvas.paint(bone, marrow, deep=wall)
