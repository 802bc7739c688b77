"""Labels of the brain maps: FreeSurfer ids inside the brain, SimNIBS "charm" ids (500 on) outside.

Maps are renumbered to uint8 (`code`); this module knows both numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PAIRS = {
    (2, 41): "white matter", (3, 42): "cortex", (4, 43): "lateral ventricle",
    (5, 44): "inferior lateral ventricle", (7, 46): "cerebellum white matter",
    (8, 47): "cerebellum cortex", (10, 49): "thalamus", (11, 50): "caudate", (12, 51): "putamen",
    (13, 52): "pallidum", (17, 53): "hippocampus", (18, 54): "amygdala", (26, 58): "accumbens",
    (28, 60): "ventral DC", (30, 62): "vessel", (25, 57): "lesion", (136, 137): "part 136",
    (163, 164): "part 163",
}  # fmt: skip
_SINGLE = {
    0: "background", 14: "third ventricle", 15: "fourth ventricle", 16: "brain stem", 24: "csf",
    72: "fifth ventricle", 85: "optic chiasm", 502: "artery", 506: "eyes", 507: "other tissue",
    508: "eye muscle", 509: "mucosa", 511: "skin", 512: "spinal cord", 514: "vein",
    515: "cortical bone", 516: "spongy bone", 530: "optic nerve",
}  # fmt: skip
NAMES: dict[int, str] = (
    _SINGLE
    | {a: f"left {name}" for (a, _), name in _PAIRS.items()}
    | {b: f"right {name}" for (_, b), name in _PAIRS.items()}
)
"""Name by the id of the published maps."""
_CODES = {number: code for code, number in enumerate(sorted(NAMES))}

_WEIGHTS = {
    "thalamus": 1.0, "caudate": 1.0, "putamen": 1.0, "pallidum": 0.6, "lateral ventricle": 1.0,
    "brain stem": 0.8, "cerebellum cortex": 0.4, "cerebellum white matter": 0.2, "cortex": 0.3,
    "white matter": 0.4, "amygdala": 0.3, "ventral DC": 0.2, "accumbens": 0.1, "eyes": 0.3,
    "third ventricle": 0.15, "fourth ventricle": 0.2, "spinal cord": 0.05, "skin": 0.05,
    "cortical bone": 0.05,
}  # fmt: skip
_UNION_WEIGHTS = {
    "cerebellum hemisphere": 0.5,
    "hemisphere": 0.5,
    "lentiform nucleus": 0.3,
    "cerebrum": 0.1,
}


def code(number: int) -> int:
    """The uint8 label of a published id."""
    return _CODES[number]


def base_name(number: int) -> str:
    """Name without its side."""
    return NAMES[number].removeprefix("left ").removeprefix("right ")


def weights() -> dict[int, float]:
    """Target weights by code; never the hippocampus, which is a later task's."""
    return {code(n): _WEIGHTS[base_name(n)] for n in NAMES if base_name(n) in _WEIGHTS} | {
        200 + i: _UNION_WEIGHTS[name.removeprefix("left ").removeprefix("right ")]
        for i, (name, _) in enumerate(_union_list())
    }


def unions() -> dict[int, tuple[int, ...]]:
    """Union id -> codes."""
    return {200 + i: tuple(code(n) for n in parts) for i, (_, parts) in enumerate(_union_list())}


def names() -> dict[int, str]:
    """Name by code, unions included."""
    plain = {code(n): name for n, name in NAMES.items()}
    return plain | {200 + i: name for i, (name, _) in enumerate(_union_list())}


def _union_list() -> list[tuple[str, tuple[int, ...]]]:
    return [
        ("left cerebellum hemisphere", (7, 8)),
        ("right cerebellum hemisphere", (46, 47)),
        ("left hemisphere", (2, 3)),
        ("right hemisphere", (41, 42)),
        ("left lentiform nucleus", (12, 13)),
        ("right lentiform nucleus", (51, 52)),
        ("cerebrum", (2, 3, 41, 42)),
    ]


@dataclass(frozen=True, eq=False)
class Contrast:
    """Order of the tissues in a T1-weighted image, relative to white matter = 1, grey = 0.

    `place` [codes] is where each label lies between grey (0) and white matter (1); CSF about -1.
    """

    place: NDArray[np.float64]
    partner: NDArray[np.int64]
    outside: tuple[int, ...]

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean signal (0 to about 1) and deviation within each label: two tables [256]."""
        white = rng.uniform(0.7, 0.95)
        grey = white * rng.uniform(0.6, 0.86)
        fluid = grey * rng.uniform(0.1, 0.6)
        jitter = rng.normal(0, 0.10, 256)[self.partner]
        place = self.place + jitter
        mean = np.where(
            place >= 0,
            grey + (white - grey) * place,
            grey + (grey - fluid) * np.maximum(place, -1.1),
        )
        wild = np.isnan(self.place)
        mean[wild] = rng.uniform(0.05, 1.0, 256)[self.partner][wild]
        fine = rng.uniform(0.003, 0.025, 256) * rng.uniform(0.4, 1.2)
        return mean, fine

    def pair_up(
        self, mean: NDArray[np.float64], fine: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same signal for both sides, give or take a little."""
        return mean[self.partner] + rng.normal(0, 0.015, 256), fine[self.partner]


def _t1_like() -> Contrast:
    place = np.full(256, np.nan)
    by_name = {
        "white matter": 1.0, "cerebellum white matter": 0.95, "cortex": 0.0,
        "cerebellum cortex": 0.0, "thalamus": 0.5, "caudate": 0.1, "putamen": 0.25,
        "pallidum": 0.75, "hippocampus": 0.02, "amygdala": 0.0, "accumbens": 0.08,
        "ventral DC": 0.7, "brain stem": 0.85, "spinal cord": 0.75, "optic chiasm": 0.7,
        "optic nerve": 0.6, "lateral ventricle": -1.0, "inferior lateral ventricle": -0.8,
        "third ventricle": -0.9, "fourth ventricle": -0.95, "fifth ventricle": -0.95,
        "csf": -0.9, "eyes": -0.95, "vessel": -0.5, "lesion": 0.3, "part 136": 0.3,
        "part 163": 0.4,
    }  # fmt: skip
    for number in NAMES:
        place[code(number)] = by_name.get(base_name(number), np.nan)
    partner = np.arange(256)
    for left, right in _PAIRS:
        partner[code(right)] = code(left)
    stays = {0, 14, 15, 16, 24, 72, 85, 502, 512, 530} | {n for pair in _PAIRS for n in pair}
    outside = tuple(code(n) for n in NAMES if n not in stays - {502, 512, 530})
    return Contrast(place, partner, outside)


T1_LIKE = _t1_like()
