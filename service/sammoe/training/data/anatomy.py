"""Structures of the torso: label ids, and how often each is a training target."""

from dataclasses import dataclass
from enum import IntEnum

RARE = 0.05
"""Weight of the structures that later tasks teach: oesophagus, cord, pancreas, lesions."""
VERTEBRAE = 18
"""Vertebrae in a phantom, each with a cortical and a spongy label from ``Part.VERTEBRA`` on."""


class Part(IntEnum):
    """Labels of the torso; sides are the patient's."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    INNER_FAT = 4
    COUCH = 5
    LUNG_R = 6
    LUNG_L = 7
    AIRWAY = 8
    LUNG_VESSEL = 9
    HEART = 10
    HEART_BLOOD = 11
    AORTA = 12
    CAVA = 13
    ARTERY = 14
    VEIN = 15
    LIVER = 16
    LIVER_VESSEL = 17
    LIVER_LESION = 18
    GALLBLADDER = 19
    SPLEEN = 20
    CORTEX_R = 21
    MEDULLA_R = 22
    SINUS_R = 23
    CORTEX_L = 24
    MEDULLA_L = 25
    SINUS_L = 26
    KIDNEY_LESION = 27
    ADRENAL_R = 28
    ADRENAL_L = 29
    PANCREAS = 30
    OESOPHAGUS = 31
    STOMACH_WALL = 32
    STOMACH_FLUID = 33
    STOMACH_GAS = 34
    DUODENUM = 35
    BOWEL_WALL = 36
    BOWEL_FLUID = 37
    BOWEL_CONTRAST = 38
    BOWEL_GAS = 39
    COLON_WALL = 40
    COLON_STOOL = 41
    COLON_FLUID = 42
    COLON_GAS = 43
    BLADDER_WALL = 44
    BLADDER = 45
    PROSTATE = 46
    PSOAS_R = 47
    PSOAS_L = 48
    BACK_R = 49
    BACK_L = 50
    GLUTEUS_R = 51
    GLUTEUS_L = 52
    DISC = 53
    CORD = 54
    CANAL = 55
    RIB = 56
    MARROW = 57
    STERNUM = 58
    CARTILAGE = 59
    HIP_R = 60
    HIP_R_SPONGY = 61
    HIP_L = 62
    HIP_L_SPONGY = 63
    FEMUR_R = 64
    FEMUR_R_SPONGY = 65
    FEMUR_L = 66
    FEMUR_L_SPONGY = 67
    SACRUM = 68
    SACRUM_SPONGY = 69
    NODE = 70
    DIAPHRAGM = 71
    SPLEEN_LESION = 72
    VERTEBRA = 100


@dataclass(frozen=True)
class Whole:
    """A target made of several labels."""

    name: str
    weight: float
    parts: tuple[Part, ...]


P = Part
WHOLES: dict[int, Whole] = {
    200: Whole("liver", 1.6, (P.LIVER, P.LIVER_VESSEL, P.LIVER_LESION)),
    201: Whole("kidney right", 1.2, (P.CORTEX_R, P.MEDULLA_R)),
    202: Whole("kidney left", 1.2, (P.CORTEX_L, P.MEDULLA_L)),
    203: Whole("kidney right with sinus", 0.3, (P.CORTEX_R, P.MEDULLA_R, P.SINUS_R)),
    204: Whole("kidney left with sinus", 0.3, (P.CORTEX_L, P.MEDULLA_L, P.SINUS_L)),
    205: Whole("stomach", 0.8, (P.STOMACH_WALL, P.STOMACH_FLUID, P.STOMACH_GAS)),
    206: Whole("colon", 0.3, (P.COLON_WALL, P.COLON_STOOL, P.COLON_FLUID, P.COLON_GAS)),
    207: Whole("bladder", 0.7, (P.BLADDER_WALL, P.BLADDER)),
    208: Whole("heart", 0.5, (P.HEART, P.HEART_BLOOD)),
    209: Whole("hip right", 0.5, (P.HIP_R, P.HIP_R_SPONGY)),
    210: Whole("hip left", 0.5, (P.HIP_L, P.HIP_L_SPONGY)),
    211: Whole("femur right", 0.5, (P.FEMUR_R, P.FEMUR_R_SPONGY)),
    212: Whole("femur left", 0.5, (P.FEMUR_L, P.FEMUR_L_SPONGY)),
    213: Whole("sacrum", 0.3, (P.SACRUM, P.SACRUM_SPONGY)),
    214: Whole("spleen", 1.6, (P.SPLEEN, P.SPLEEN_LESION)),
}

SINGLE: dict[Part, float] = {
    P.AORTA: 0.8,
    P.CAVA: 0.6,
    P.GALLBLADDER: 0.6,
    P.PSOAS_R: 0.5,
    P.PSOAS_L: 0.5,
    P.BACK_R: 0.4,
    P.BACK_L: 0.4,
    P.GLUTEUS_R: 0.4,
    P.GLUTEUS_L: 0.4,
    P.LUNG_R: 0.3,
    P.LUNG_L: 0.3,
    P.DUODENUM: 0.2,
    P.ADRENAL_R: 0.1,
    P.ADRENAL_L: 0.1,
    P.HEART_BLOOD: 0.3,
    P.STERNUM: 0.1,
    P.STOMACH_FLUID: 0.2,
    P.PROSTATE: 0.2,
    P.PANCREAS: RARE,
    P.OESOPHAGUS: RARE,
    P.CORD: RARE,
    P.LIVER_LESION: RARE,
    P.KIDNEY_LESION: RARE,
    P.SPLEEN_LESION: RARE,
}
"""Labels that are targets by themselves."""
VERTEBRA_WEIGHT = 0.12


def names() -> dict[int, str]:
    """Name of every label and union of the torso."""
    plain = {int(p): p.name.lower().replace("_", " ") for p in Part}
    bones = {P.VERTEBRA + 2 * k + i: f"vertebra {k}" + (" spongy" if i else "")
             for k in range(VERTEBRAE) for i in (0, 1)}  # fmt: skip
    wholes = {i: w.name for i, w in WHOLES.items()}
    # A whole takes the organ's plain name; its tissue without vessels and lesions does not.
    plain = {k: f"{v} tissue" if v in wholes.values() else v for k, v in plain.items()}
    return plain | bones | wholes | {220 + k: f"vertebra {k} whole" for k in range(VERTEBRAE)}


def unions() -> dict[int, tuple[int, ...]]:
    """Target ids that stand for several labels."""
    spine = {220 + k: (P.VERTEBRA + 2 * k, P.VERTEBRA + 2 * k + 1) for k in range(VERTEBRAE)}
    return {i: tuple(int(p) for p in w.parts) for i, w in WHOLES.items()} | spine


def weights() -> dict[int, float]:
    """How often each label or union is a target."""
    wholes = {i: w.weight for i, w in WHOLES.items()}
    spine = {220 + k: VERTEBRA_WEIGHT for k in range(VERTEBRAE)}
    return {int(p): w for p, w in SINGLE.items()} | wholes | spine
