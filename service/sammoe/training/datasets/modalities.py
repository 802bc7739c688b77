"""Which modality a name means, as data sets give them to channels and folders."""

import re
from typing import Final

from sammoe.volume.volume import Modality

HOW_TO_SAY: Final = (
    'in dataset.json, as "channel_names": {"0": "CT"} (or "MR"); in SAM-Med3D\'s layout, in the'
    " folder's name, as ct_SET"
)
"""What people are told who have not said it."""

_WORDS: Final = {
    Modality.CT: ("ct", "cta", "cect", "ncct", "hrct", "ldct"),
    Modality.MR: (
        *("mr", "mri", "mra", "mrt", "cmr", "dce", "swi", "pd", "pdw", "dwi", "adc"),
        *("t1", "t1w", "t1n", "t1c", "t1ce", "t1gd", "t2", "t2w", "t2f", "flair"),
    ),
    Modality.UNKNOWN: ("pet", "spect", "suv", "us", "ultrasound", "cbct"),
}
_MEANT: Final = {word: modality for modality, words in _WORDS.items() for word in words}


def modality_of(name: str) -> Modality:
    """What a name's known words agree on: ``CTA`` and ``CT_A`` are CT, ``PET/CT`` is unknown."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    meant = {_MEANT[word] for word in words if word in _MEANT}
    return meant.pop() if len(meant) == 1 else Modality.UNKNOWN
