"""Structures of the torso: label ids, CT appearance, and how often each is a training target.

HU and enhancement are textbook ranges (unenhanced / arterial / portal venous); what matters is that
neighbours are often nearly equal and that every draw differs.
"""

from dataclasses import dataclass
from enum import IntEnum

from sammoe.training.data.labelmap import Tissue

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

_BONE = Tissue(650, 150, 180, 5)
_SPONGY = Tissue(190, 70, 60, 3.5)
_CORTEX = Tissue(33, 4, 6, 6, 140, 150)
_MEDULLA = Tissue(31, 4, 10, 7, 45, 130)
_SINUS = Tissue(-40, 40, 35, 6)
_MUSCLE = Tissue(55, 8, 7, 5, 4, 8)

TISSUE: dict[int, Tissue] = {
    P.AIR: Tissue(-1000, 3, 2),
    P.SKIN: Tissue(0, 50, 30, 5),
    P.FAT: Tissue(-105, 8, 8, 7),
    P.MUSCLE: Tissue(55, 8, 14, 6, 4, 8),
    P.INNER_FAT: Tissue(-100, 10, 16, 6),
    P.COUCH: Tissue(-300, 200, 100, 10),
    P.LUNG_R: Tissue(-820, 45, 45, 7),
    P.LUNG_L: Tissue(-820, 45, 45, 7),
    P.AIRWAY: Tissue(-980, 15, 4),
    P.LUNG_VESSEL: Tissue(0, 40, 60, 8, 120, 80),
    P.HEART: Tissue(45, 6, 8, 8, 60, 60),
    P.HEART_BLOOD: Tissue(42, 5, 6, 12, 220, 110),
    P.AORTA: Tissue(42, 5, 5, 10, 260, 110),
    P.CAVA: Tissue(40, 5, 10, 12, 40, 105),
    P.ARTERY: Tissue(42, 5, 10, 8, 240, 110),
    P.VEIN: Tissue(40, 5, 10, 8, 30, 120),
    P.LIVER: Tissue(56, 10, 6, 9, 10, 48),
    P.LIVER_VESSEL: Tissue(42, 6, 8, 8, 20, 85),
    P.LIVER_LESION: Tissue(30, 22, 10, 6, 15, 25),
    P.GALLBLADDER: Tissue(12, 8, 4, 10),
    P.SPLEEN: Tissue(48, 5, 5, 8, 60, 62),
    P.SPLEEN_LESION: Tissue(25, 20, 8, 6, 10, 15),
    P.CORTEX_R: _CORTEX,
    P.CORTEX_L: _CORTEX,
    P.MEDULLA_R: _MEDULLA,
    P.MEDULLA_L: _MEDULLA,
    P.SINUS_R: _SINUS,
    P.SINUS_L: _SINUS,
    P.KIDNEY_LESION: Tissue(18, 18, 6, 6, 8, 12),
    P.ADRENAL_R: Tissue(25, 12, 6, 5, 25, 40),
    P.ADRENAL_L: Tissue(25, 12, 6, 5, 25, 40),
    P.PANCREAS: Tissue(38, 8, 14, 5, 45, 45),
    P.OESOPHAGUS: Tissue(38, 10, 20, 5, 15, 25),
    P.STOMACH_WALL: Tissue(40, 8, 8, 5, 20, 40),
    P.STOMACH_FLUID: Tissue(20, 25, 18, 6),
    P.STOMACH_GAS: Tissue(-900, 60, 30, 8),
    P.DUODENUM: Tissue(35, 15, 20, 5, 15, 30),
    P.BOWEL_WALL: Tissue(38, 10, 14, 5, 20, 45),
    P.BOWEL_FLUID: Tissue(20, 15, 15, 6),
    P.BOWEL_CONTRAST: Tissue(120, 110, 50, 8),
    P.BOWEL_GAS: Tissue(-850, 80, 60, 6),
    P.COLON_WALL: Tissue(38, 10, 14, 5, 15, 40),
    P.COLON_STOOL: Tissue(10, 50, 130, 4),
    P.COLON_FLUID: Tissue(25, 40, 30, 6),
    P.COLON_GAS: Tissue(-900, 60, 50, 6),
    P.BLADDER_WALL: Tissue(38, 8, 8, 5, 10, 25),
    P.BLADDER: Tissue(8, 8, 4, 12),
    P.PROSTATE: Tissue(42, 8, 10, 6, 20, 35),
    P.PSOAS_R: _MUSCLE,
    P.PSOAS_L: _MUSCLE,
    P.BACK_R: Tissue(50, 10, 18, 5, 4, 8),
    P.BACK_L: Tissue(50, 10, 18, 5, 4, 8),
    P.GLUTEUS_R: Tissue(50, 10, 16, 6, 4, 8),
    P.GLUTEUS_L: Tissue(50, 10, 16, 6, 4, 8),
    P.DISC: Tissue(80, 15, 15, 6),
    P.CORD: Tissue(38, 6, 5, 6),
    P.CANAL: Tissue(15, 12, 12, 6),
    P.RIB: Tissue(500, 120, 150, 5),
    P.MARROW: Tissue(150, 60, 50, 4),
    P.STERNUM: Tissue(230, 80, 90, 4),
    P.CARTILAGE: Tissue(110, 30, 30, 5),
    P.HIP_R: _BONE,
    P.HIP_R_SPONGY: _SPONGY,
    P.HIP_L: _BONE,
    P.HIP_L_SPONGY: _SPONGY,
    P.FEMUR_R: Tissue(850, 200, 180, 5),
    P.FEMUR_R_SPONGY: _SPONGY,
    P.FEMUR_L: Tissue(850, 200, 180, 5),
    P.FEMUR_L_SPONGY: _SPONGY,
    P.SACRUM: Tissue(450, 100, 120, 5),
    P.SACRUM_SPONGY: _SPONGY,
    P.NODE: Tissue(40, 10, 10, 5, 15, 40),
    P.DIAPHRAGM: _MUSCLE,
    **{P.VERTEBRA + 2 * k: Tissue(480, 90, 130, 5) for k in range(VERTEBRAE)},
    **{P.VERTEBRA + 2 * k + 1: _SPONGY for k in range(VERTEBRAE)},
}


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
