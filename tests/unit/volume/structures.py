"""Made-up structures for tests of the writers."""

from sammoe.volume.paste import Pasted
from sammoe.volume.structures import ANATOMICAL_STRUCTURE, Algorithm, Code, Structure

SPLEEN = Code("78961009", "Spleen")
LIVER = Code("10200004", "Liver")


def structure(label: str, code: Code, mask: Pasted, number: int = 1) -> Structure:
    """A structure that the demo's general decoder drew."""
    return Structure(
        label=label,
        code=code,
        category=ANATOMICAL_STRUCTURE,
        colour=(255, 51 * number, 0),
        tracking_uid=f"2.25.{number}",
        algorithm=Algorithm("general", "b" * 64),
        pasted=mask,
    )
