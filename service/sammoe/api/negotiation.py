"""Content negotiation by ``Accept`` (RFC 9110, section 12.5.1), and the forms of a mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sammoe.errors import NotAcceptable

JSON: Final = "application/json"
PACKED: Final = "application/vnd.sammoe.mask"
NIFTI: Final = "application/x-nifti+gzip"
PLAIN_NIFTI: Final = "application/x-nifti"
NRRD: Final = "application/x-nrrd"
DICOM: Final = "application/dicom"

EVENTS: Final = "text/event-stream"

MASKS: Final = (NIFTI, NRRD, PACKED)
"""Forms of a mask that is asked for by itself; the first is what ``*/*`` gets."""

ANSWERS: Final = (JSON, PACKED, NIFTI, NRRD)
"""Forms of the answer to a click; the first is what ``*/*`` gets."""

FILE_NAMES: Final = {NIFTI: "mask.nii.gz", NRRD: "mask.nrrd", PACKED: "mask.sammoe"}
"""What a browser shall call a downloaded mask: the same for everyone, so that it names nobody."""

_MAX_RANGES: Final = 32


@dataclass(frozen=True, slots=True)
class _Range:
    kind: str
    subtype: str
    quality: float

    def specificity(self, media_type: str) -> int:
        """2: exactly this type, 1: its kind, 0: ``*/*``, -1: does not match."""
        kind, _, subtype = media_type.partition("/")
        if (self.kind, self.subtype) == (kind, subtype):
            return 2
        if (self.kind, self.subtype) == (kind, "*"):
            return 1
        return 0 if (self.kind, self.subtype) == ("*", "*") else -1


def choose(accept: str | None, offered: Sequence[str]) -> str:
    """The offered media type that the client likes best; the earlier one when it does not care.

    Parameters
    ----------
    accept
        The ``Accept`` header; ``None`` or empty means anything.
    offered
        Media types in lower case, the server's favourite first.

    Raises
    ------
    NotAcceptable
        None of them is allowed, or the header can not be read.
    """
    if not accept or accept == "*/*":
        return offered[0]
    ranges = _parse(accept)
    best = max(offered, key=lambda media_type: _quality(media_type, ranges))
    if _quality(best, ranges) <= 0:
        raise NotAcceptable(f"This route answers {', '.join(offered)}: name one in Accept.")
    return best


def choose_steps(accept: str | None, offered: Sequence[str]) -> str:
    """The same, or :data:`EVENTS` where the client names them and likes nothing better."""
    named = EVENTS in (accept or "").lower()
    return choose(accept, (*offered, EVENTS) if named else offered)


def _quality(media_type: str, ranges: Sequence[_Range]) -> float:
    """The quality that the most specific matching range gives, 0 when none matches."""
    matching = [(r.specificity(media_type), r.quality) for r in ranges]
    specificity, quality = max(matching, default=(-1, 0.0))
    return quality if specificity >= 0 else 0.0


def _parse(accept: str) -> list[_Range]:
    parts = accept.split(",")
    if len(parts) > _MAX_RANGES:
        raise NotAcceptable(f"Name at most {_MAX_RANGES} media types in Accept.")
    return [_parse_range(part) for part in parts if part.strip()]


def _parse_range(text: str) -> _Range:
    media_range, *parameters = (part.strip().lower() for part in text.split(";"))
    kind, _, subtype = media_range.partition("/")
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            quality = _parse_quality(value.strip())
    return _Range(kind, subtype, quality)


def _parse_quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        quality = -1.0
    if not 0 <= quality <= 1:
        raise NotAcceptable("A q value in Accept must be a number from 0 to 1.")
    return quality
