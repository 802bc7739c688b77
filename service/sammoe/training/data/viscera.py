"""Solid organs and vessels of the torso, painted into the cavity that ``frame`` left."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sammoe.training.data.anatomy import Part
from sammoe.training.data.bowel import paint_colon, paint_small_bowel, paint_stomach, wander
from sammoe.training.data.canvas import Canvas, Solid
from sammoe.training.data.frame import SIDES, Body, spine_y

BELLY = (
    Part.INNER_FAT, Part.STOMACH_WALL, Part.STOMACH_FLUID, Part.STOMACH_GAS, Part.DUODENUM,
    Part.BOWEL_WALL, Part.BOWEL_FLUID, Part.BOWEL_CONTRAST, Part.BOWEL_GAS, Part.COLON_WALL,
    Part.COLON_STOOL, Part.COLON_FLUID, Part.COLON_GAS, Part.LIVER, Part.LIVER_VESSEL, Part.SPLEEN,
    Part.PANCREAS, Part.GALLBLADDER,
)  # fmt: skip
"""What an organ may displace."""
CHEST = (Part.INNER_FAT, Part.LUNG_R, Part.LUNG_L)


def paint_viscera(canvas: Canvas, body: Body) -> None:
    """Everything within the cavity, deep things last."""
    fat = (Part.INNER_FAT,)
    paint_small_bowel(canvas, body, fat)
    paint_colon(
        canvas, (*fat, Part.BOWEL_WALL, Part.BOWEL_FLUID, Part.BOWEL_CONTRAST, Part.BOWEL_GAS)
    )
    _paint_mesentery(canvas)
    _paint_pelvis(canvas)
    _paint_loose_fat(canvas, body)
    paint_stomach(canvas, BELLY)
    _paint_pancreas(canvas)
    _paint_liver(canvas, body)
    _paint_spleen(canvas)
    _paint_chest(canvas, body)
    for side, name in SIDES:
        _paint_kidney(canvas, side, name)
    _paint_great_vessels(canvas)


def _near(rng: np.random.Generator, centre: ArrayLike, sd: float = 5.0) -> NDArray[np.float64]:
    return np.asarray(centre, float) + rng.normal(0, sd, 3)


def _paint_liver(canvas: Canvas, body: Body) -> None:
    rng = canvas.rng
    centre = _near(rng, (52, 8, body.dome - 50))
    size = rng.uniform(0.88, 1.12)
    mass = canvas.ellipsoid(centre, np.array([100, 92, 98]) * size, rough=3, power=2.3)
    x, y, z = canvas.axes(mass.box)
    # The lower face rises from the right flank to the left lobe and to the back.
    low = rng.uniform(-60, -5)
    slope = rng.uniform(0.45, 0.75)
    floor = low + slope * (125 - x) + 0.18 * np.clip(-y, 0, None) + 5 * canvas.rough(mass.box)
    left = np.float32(rng.uniform(-75, -25)) - x
    out = np.maximum(mass.out, np.maximum((floor - z) * 0.75, left)).astype(np.float32)
    hollow = canvas.ellipsoid(_near(rng, (5, -35, body.dome - 60)), (36, 32, 48))
    liver = mass.but(out)
    canvas.paint(liver, Part.LIVER, over=(*BELLY, Part.DIAPHRAGM))
    canvas.paint(hollow, Part.INNER_FAT, over=(Part.LIVER,))
    root = np.array([20.0, -20, body.dome - 35])
    for _ in range(rng.integers(4, 9)):
        way = np.array([rng.uniform(-35, 75), rng.uniform(-45, 55), rng.uniform(-60, 15)])
        bend = 0.5 * way + rng.normal(0, 9, 3)
        tree = canvas.tube([root, root + bend, root + way], [5, 3.4, 2])
        canvas.paint(tree, Part.LIVER_VESSEL, over=(Part.LIVER,))
    if rng.random() < 0.35:
        _paint_lesions(canvas, Part.LIVER, Part.LIVER_LESION, (4, 20))
    if rng.random() < 0.85:
        bag = canvas.ellipsoid(
            _near(rng, (52, 38, max(low + slope * 70, -15)), 7),
            np.array([13, 14, 27]) * rng.uniform(0.6, 1.3),
            turn=rng.normal((0.4, 0, 0), 0.35),
            rough=1,
        )
        canvas.paint(bag, Part.GALLBLADDER, over=BELLY)


def _paint_spleen(canvas: Canvas) -> None:
    rng = canvas.rng
    size = rng.uniform(0.75, 1.3) * np.array([36, 48, 54]) * rng.uniform(0.9, 1.1, 3)
    turn = rng.normal((-0.35, 0.2, 0.35), 0.2)
    centre = _near(rng, (-96, -32, 50), 7)
    mass = canvas.ellipsoid(centre, size, turn=turn, rough=2.5)
    bite = canvas.ellipsoid(
        centre + np.array([44, 22, -4]), size * [0.9, 0.9, 0.95], turn=turn, rough=2
    )
    keep = canvas.labels.copy()
    canvas.paint(mass, Part.SPLEEN, over=BELLY)
    within = canvas.labels[bite.box]
    undo = (bite.out < 0) & (within == Part.SPLEEN)
    within[undo] = keep[bite.box][undo]
    if rng.random() < 0.08:
        _paint_lesions(canvas, Part.SPLEEN, Part.SPLEEN_LESION, (4, 12))


def _paint_kidney(canvas: Canvas, side: int, name: str) -> None:
    rng = canvas.rng
    if rng.random() < 0.03:
        return
    centre = _near(rng, (side * 64, -37, -22 + 5 * side * -1), 5)
    size = np.array([27, 25, 54]) * rng.uniform(0.82, 1.15) * rng.uniform(0.92, 1.08, 3)
    turn = (rng.normal(0.15, 0.12), side * rng.normal(0.2, 0.1), side * rng.normal(-0.5, 0.2))
    over = (*BELLY, Part.DIAPHRAGM, Part.MUSCLE, Part.FAT, Part[f"PSOAS_{name}"])
    bean = canvas.ellipsoid(centre, size, turn=turn, rough=1.2, power=2.2)
    hilum = canvas.ellipsoid(
        centre + np.array([-side * 22, 8, 0]),
        size * np.array([0.72, 0.5, 0.42]) * rng.uniform(0.7, 1.1),
        turn=turn,
        rough=2.5,
    )
    canvas.paint(bean, Part[f"CORTEX_{name}"], over=over)
    pyramids = bean.but(bean.out + 2.2 * canvas.rough(bean.box, 14))
    canvas.paint(pyramids, Part[f"MEDULLA_{name}"], over=(Part[f"CORTEX_{name}"],), deep=7)
    own = (Part[f"CORTEX_{name}"], Part[f"MEDULLA_{name}"])
    canvas.paint(hilum, Part[f"SINUS_{name}"], over=own)
    for kind, lift, r in ((Part.ARTERY, 3.0, 2.8), (Part.VEIN, -1.0, 4.2)):
        stem = (side * 8, spine_y(centre[2]) + 24, centre[2] + 8)
        hilum_at = centre + np.array([-side * 12, 5, 0])
        path = [stem, centre + np.array([-side * 30, 10 + lift, 4]), hilum_at]
        canvas.paint(canvas.tube(path, r), kind, over=(Part.INNER_FAT, Part[f"SINUS_{name}"]))
    if rng.random() < 0.25:
        r = rng.uniform(4, 20)
        cyst = canvas.ellipsoid(centre + size * rng.uniform(-0.8, 0.8, 3), (r, r, r), rough=0.8)
        canvas.paint(cyst, Part.KIDNEY_LESION, over=own)
    gland = centre + np.array([-side * 22, 6, size[2] + 2])
    fin_path = gland + np.array([(-4, 8, 4), (0, 0, 0), (side * 6, -14, -8)])
    fin = canvas.tube(fin_path, [2.6, 3.2, 2.2])
    canvas.paint(fin, Part[f"ADRENAL_{name}"], over=(Part.INNER_FAT, Part.STOMACH_WALL, Part.LIVER))


def _paint_loose_fat(canvas: Canvas, body: Body) -> None:
    """Fat about the kidneys, thicker in the obese."""
    rim = 2 + 14 * body.fat * canvas.rng.random()
    for side, _ in SIDES:
        bed = canvas.ellipsoid((side * 64, -36, -22), (26 + rim, 24 + rim, 54 + rim), rough=2)
        canvas.paint(bed, Part.INNER_FAT, over=BELLY)


def _paint_pancreas(canvas: Canvas) -> None:
    rng = canvas.rng
    path = np.array([(36, 8, -32), (32, 16, -10), (2, 26, 8), (-35, 8, 24), (-72, -14, 36)])
    radii = np.array([9.0, 14, 9, 9, 8]) * rng.uniform(0.75, 1.15)
    gland = canvas.tube(path + rng.normal(0, 5, (5, 3)), radii)
    gland = gland.but(gland.out + 2 * canvas.rough(gland.box, 14))
    canvas.paint(gland, Part.PANCREAS, over=BELLY)


def _paint_great_vessels(canvas: Canvas) -> None:
    rng = canvas.rng
    free = (*BELLY, Part.DIAPHRAGM, Part.LUNG_L, Part.LUNG_R, Part.PSOAS_L, Part.PSOAS_R)
    wide = rng.uniform(8, 12.5)
    zs = np.array([-98.0, -50, 0, 50, 100, 150, 200])
    aorta = np.stack([[-3, -6, -6, -8, -14, -20, -22], spine_y(zs) + 26, zs], 1)
    aorta[:, 0] += rng.normal(0, 3)
    arch = [(-18, -28, 238), (-4, 8, 252), (8, 32, 225), (4, 30, 190)]
    radii = wide * np.linspace(0.85, 1.2, 11)
    canvas.paint(canvas.tube(np.vstack([aorta, arch]), radii), Part.AORTA, over=free)
    cz = np.array([-102.0, -50, 0, 50, 90, 135])
    cava = np.stack(
        [[13, 17, 19, 24, 24, 18], spine_y(cz) + np.array([26, 27, 27, 34, 46, 62]), cz], 1
    )
    vein = canvas.tube(cava, rng.uniform(8, 13))
    canvas.paint(vein, Part.CAVA, over=(*free, Part.INNER_FAT))
    for side, _ in SIDES:
        for kind, r, push in ((Part.ARTERY, 5.5, 0), (Part.VEIN, 6.5, -9)):
            path = [(side * 2, -12 + push, -98), (side * 28, -18 + push, -135),
                    (side * 52, 5 + push, -190), (side * 66, 52, -255)]  # fmt: skip
            canvas.paint(canvas.tube(path, r), kind, over=BELLY)
    portal = [(4, -2, -60), (6, 8, 0), (24, 6, 28), (40, 5, 48)]
    canvas.paint(canvas.tube(portal, [5, 6, 6.5, 5]), Part.VEIN, over=BELLY)
    splenic = [(8, 8, 6), (-30, 0, 22), (-75, -28, 42)]
    canvas.paint(canvas.tube(splenic, [4.5, 4, 3.5]), Part.VEIN, over=BELLY)
    canvas.paint(
        canvas.tube([(-6, -8, 8), (-4, 10, -20), (0, 16, -70)], 3.4), Part.ARTERY, over=BELLY
    )


def _paint_mesentery(canvas: Canvas) -> None:
    """Small vessels and nodes in the fat."""
    rng = canvas.rng
    for k in range(10):
        path = wander(rng, np.array([0.0, 18, -70]), np.array([80.0, 40, 80]), steps=6)
        kind = Part.VEIN if k % 2 else Part.ARTERY
        canvas.paint(canvas.tube(path, rng.uniform(1.4, 2.8)), kind, over=(Part.INNER_FAT,))
    for _ in range(rng.integers(0, 12)):
        at = np.array([0, 5, -60]) + rng.uniform(-1, 1, 3) * [70, 40, 90]
        r = rng.uniform(2.5, 7, 3)
        canvas.paint(canvas.ellipsoid(at, r), Part.NODE, over=(Part.INNER_FAT,))


def _paint_pelvis(canvas: Canvas) -> None:
    rng = canvas.rng
    canvas.paint(
        canvas.ellipsoid(_near(rng, (0, 4, -238)), rng.uniform(16, 27, 3), rough=1.5),
        Part.PROSTATE, over=(Part.INNER_FAT, Part.MUSCLE),
    )  # fmt: skip
    size = np.array([40, 30, 32]) * rng.uniform(0.45, 1.2)
    bag = canvas.ellipsoid(_near(rng, (0, 24, -212)), size, rough=1.5)
    canvas.paint(bag, Part.BLADDER_WALL, over=(*BELLY, Part.PROSTATE))
    canvas.paint(bag, Part.BLADDER, over=(Part.BLADDER_WALL,), deep=rng.uniform(2, 6))


def _paint_chest(canvas: Canvas, body: Body) -> None:
    rng = canvas.rng
    base = body.dome + 30
    centre = _near(rng, (-24, 32, base), 6)
    size = np.array([60, 46, 50]) * rng.uniform(0.85, 1.15)
    heart = canvas.ellipsoid(centre, size, turn=(0.2, 0.35, -0.5), rough=2)
    canvas.paint(heart, Part.HEART, over=CHEST)
    for shift, r in (((-20, -8, -4), 24), ((14, 22, 2), 25), ((20, -16, 14), 23)):
        room = canvas.ellipsoid(centre + shift, np.array([r, r * 0.85, r * 1.1]), rough=2)
        canvas.paint(room, Part.HEART_BLOOD, over=(Part.HEART,))
    zs = np.array([45.0, 75, 110, 160, 220, 300])
    pipe = np.stack(
        [[-26, -14, -8, -4, -3, 0], spine_y(zs) + np.array([52, 44, 36, 30, 26, 24]), zs], 1
    )
    canvas.paint(canvas.tube(pipe, rng.uniform(5, 8)), Part.OESOPHAGUS, over=(*BELLY, *CHEST))
    wind = [(0, -26, 300), (0, -32, 250), (3, -34, 222)]
    canvas.paint(canvas.tube(wind, 8.5), Part.AIRWAY, over=CHEST)
    for side, name in SIDES:
        canvas.paint(
            canvas.tube([(3, -34, 222), (side * 38, -28, 196)], 6), Part.AIRWAY, over=CHEST
        )
        lung = Part[f"LUNG_{name}"]
        for _ in range(9):
            hub = np.array([side * 36.0, -15, 190])
            way = np.array([side * rng.uniform(5, 80), rng.uniform(-50, 70), rng.uniform(-150, 70)])
            path = [hub, hub + 0.5 * way + rng.normal(0, 10, 3), hub + way]
            canvas.paint(canvas.tube(path, [5, 3, 1.6]), Part.LUNG_VESSEL, over=(lung,))


def _paint_lesions(canvas: Canvas, host: int, label: int, radii: tuple[float, float]) -> None:
    """One to three round lesions of `radii` (mm, smallest and largest) within `host`."""
    rng = canvas.rng
    inside = np.argwhere(canvas.labels == host)
    for _ in range(rng.integers(1, 4)):
        if len(inside) == 0:
            return
        at = canvas.start + canvas.step * inside[rng.integers(len(inside))]
        r = float(np.exp(rng.uniform(*np.log(radii))))
        lump: Solid = canvas.ellipsoid(at, r * rng.uniform(0.8, 1.25, 3), rough=0.12 * r)
        canvas.paint(lump, label, over=(host,))
