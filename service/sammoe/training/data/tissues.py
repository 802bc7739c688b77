"""How the structures of the torso look in CT.

HU and enhancement are textbook ranges (unenhanced / arterial / portal venous); what matters is that
neighbours are often nearly equal and that every draw differs.
"""

from sammoe.training.data.anatomy import VERTEBRAE, Part
from sammoe.training.data.labelmap import Tissue

_BONE = Tissue(650, 150, 180, 5)
_SPONGY = Tissue(190, 70, 60, 3.5)
_CORTEX = Tissue(33, 4, 6, 6, 140, 150)
_MEDULLA = Tissue(31, 4, 10, 7, 45, 130)
_SINUS = Tissue(-40, 40, 35, 6)
_MUSCLE = Tissue(55, 8, 7, 5, 4, 8)

TISSUE: dict[int, Tissue] = {
    Part.AIR: Tissue(-1000, 3, 2),
    Part.SKIN: Tissue(0, 50, 30, 5),
    Part.FAT: Tissue(-105, 8, 8, 7),
    Part.MUSCLE: Tissue(55, 8, 14, 6, 4, 8),
    Part.INNER_FAT: Tissue(-100, 10, 16, 6),
    Part.COUCH: Tissue(-300, 200, 100, 10),
    Part.LUNG_R: Tissue(-820, 45, 45, 7),
    Part.LUNG_L: Tissue(-820, 45, 45, 7),
    Part.AIRWAY: Tissue(-980, 15, 4),
    Part.LUNG_VESSEL: Tissue(0, 40, 60, 8, 120, 80),
    Part.HEART: Tissue(45, 6, 8, 8, 60, 60),
    Part.HEART_BLOOD: Tissue(42, 5, 6, 12, 220, 110),
    Part.AORTA: Tissue(42, 5, 5, 10, 260, 110),
    Part.CAVA: Tissue(40, 5, 10, 12, 40, 105),
    Part.ARTERY: Tissue(42, 5, 10, 8, 240, 110),
    Part.VEIN: Tissue(40, 5, 10, 8, 30, 120),
    Part.LIVER: Tissue(56, 10, 6, 9, 10, 48),
    Part.LIVER_VESSEL: Tissue(42, 6, 8, 8, 20, 85),
    Part.LIVER_LESION: Tissue(30, 22, 10, 6, 15, 25),
    Part.GALLBLADDER: Tissue(12, 8, 4, 10),
    Part.SPLEEN: Tissue(48, 5, 5, 8, 60, 62),
    Part.SPLEEN_LESION: Tissue(25, 20, 8, 6, 10, 15),
    Part.CORTEX_R: _CORTEX,
    Part.CORTEX_L: _CORTEX,
    Part.MEDULLA_R: _MEDULLA,
    Part.MEDULLA_L: _MEDULLA,
    Part.SINUS_R: _SINUS,
    Part.SINUS_L: _SINUS,
    Part.KIDNEY_LESION: Tissue(18, 18, 6, 6, 8, 12),
    Part.ADRENAL_R: Tissue(25, 12, 6, 5, 25, 40),
    Part.ADRENAL_L: Tissue(25, 12, 6, 5, 25, 40),
    Part.PANCREAS: Tissue(38, 8, 14, 5, 45, 45),
    Part.OESOPHAGUS: Tissue(38, 10, 20, 5, 15, 25),
    Part.STOMACH_WALL: Tissue(40, 8, 8, 5, 20, 40),
    Part.STOMACH_FLUID: Tissue(20, 25, 18, 6),
    Part.STOMACH_GAS: Tissue(-900, 60, 30, 8),
    Part.DUODENUM: Tissue(35, 15, 20, 5, 15, 30),
    Part.BOWEL_WALL: Tissue(38, 10, 14, 5, 20, 45),
    Part.BOWEL_FLUID: Tissue(20, 15, 15, 6),
    Part.BOWEL_CONTRAST: Tissue(120, 110, 50, 8),
    Part.BOWEL_GAS: Tissue(-850, 80, 60, 6),
    Part.COLON_WALL: Tissue(38, 10, 14, 5, 15, 40),
    Part.COLON_STOOL: Tissue(10, 50, 130, 4),
    Part.COLON_FLUID: Tissue(25, 40, 30, 6),
    Part.COLON_GAS: Tissue(-900, 60, 50, 6),
    Part.BLADDER_WALL: Tissue(38, 8, 8, 5, 10, 25),
    Part.BLADDER: Tissue(8, 8, 4, 12),
    Part.PROSTATE: Tissue(42, 8, 10, 6, 20, 35),
    Part.PSOAS_R: _MUSCLE,
    Part.PSOAS_L: _MUSCLE,
    Part.BACK_R: Tissue(50, 10, 18, 5, 4, 8),
    Part.BACK_L: Tissue(50, 10, 18, 5, 4, 8),
    Part.GLUTEUS_R: Tissue(50, 10, 16, 6, 4, 8),
    Part.GLUTEUS_L: Tissue(50, 10, 16, 6, 4, 8),
    Part.DISC: Tissue(80, 15, 15, 6),
    Part.CORD: Tissue(38, 6, 5, 6),
    Part.CANAL: Tissue(15, 12, 12, 6),
    Part.RIB: Tissue(500, 120, 150, 5),
    Part.MARROW: Tissue(150, 60, 50, 4),
    Part.STERNUM: Tissue(230, 80, 90, 4),
    Part.CARTILAGE: Tissue(110, 30, 30, 5),
    Part.HIP_R: _BONE,
    Part.HIP_R_SPONGY: _SPONGY,
    Part.HIP_L: _BONE,
    Part.HIP_L_SPONGY: _SPONGY,
    Part.FEMUR_R: Tissue(850, 200, 180, 5),
    Part.FEMUR_R_SPONGY: _SPONGY,
    Part.FEMUR_L: Tissue(850, 200, 180, 5),
    Part.FEMUR_L_SPONGY: _SPONGY,
    Part.SACRUM: Tissue(450, 100, 120, 5),
    Part.SACRUM_SPONGY: _SPONGY,
    Part.NODE: Tissue(40, 10, 10, 5, 15, 40),
    Part.DIAPHRAGM: _MUSCLE,
    **{Part.VERTEBRA + 2 * k: Tissue(480, 90, 130, 5) for k in range(VERTEBRAE)},
    **{Part.VERTEBRA + 2 * k + 1: _SPONGY for k in range(VERTEBRAE)},
}
