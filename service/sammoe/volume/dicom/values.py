"""Values out of a dataset, whatever form they have there.

A header has a hundred elements and a series hundreds of headers, so plain text and small numbers
are taken from their bytes; all else goes through pydicom's conversion.
"""

import math
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag

from sammoe.errors import DicomInvalid

_TEXTS: Final = frozenset({"CS", "DA", "DS", "IS", "LO", "PN", "SH", "UI"})
_DECIMALS: Final = frozenset({"DS", "IS"})


def text(dataset: Dataset, keyword: str) -> str:
    r"""A value as text; several joined by ``\``; empty where it is missing.

    Letters beyond ASCII may come out as others, but equal ones always equal.
    """
    raw = _raw(dataset, keyword)
    if raw is not None and raw.VR in _TEXTS and raw.value is not None:
        return raw.value.decode("latin-1").strip("\0 ")
    value = _value(dataset, keyword)
    if value is None:
        return ""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return "\\".join(str(part).strip() for part in value)
    return str(value).strip("\0 ")


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """So many finite numbers; None where they are missing or empty.

    Raises
    ------
    DicomInvalid
        There is another number of them, or they are no finite numbers.
    """
    raw = _raw(dataset, keyword)
    if raw is not None and raw.VR in _DECIMALS and raw.value is not None:
        parts: list[Any] = raw.value.decode("latin-1").strip("\0 ").split("\\")
        parts = [] if parts == [""] else parts
    elif raw is not None and raw.VR == "US" and raw.length == 2 and raw.value is not None:
        parts = [int.from_bytes(raw.value, "little" if raw.is_little_endian else "big")]
    else:
        value = _value(dataset, keyword)
        if value is None or value == "":
            return None
        many = isinstance(value, Iterable) and not isinstance(value, str)
        parts = list(value) if many else [value]
    if not parts:
        return None
    try:
        found = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        raise DicomInvalid(f"{keyword} of an image is no number.") from None
    if len(found) != count or not all(map(math.isfinite, found)):
        raise DicomInvalid(f"{keyword} of an image must be {count} finite number(s).")
    return found


def number(dataset: Dataset, keyword: str) -> float | None:
    """One finite number; see `numbers`."""
    found = numbers(dataset, keyword, 1)
    return None if found is None else found[0]


def whole(dataset: Dataset, keyword: str) -> int | None:
    """One whole number; see `numbers`."""
    found = number(dataset, keyword)
    if found is not None and found != int(found):
        raise DicomInvalid(f"{keyword} of an image must be a whole number.")
    return None if found is None else int(found)


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none where it is missing."""
    value = _value(dataset, keyword)
    return [] if value is None else list(value)


@cache
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)


def _raw(dataset: Dataset, keyword: str) -> RawDataElement | None:
    """An element as it was read, if nobody has converted it yet."""
    tag = _tag(keyword)
    if tag not in dataset:
        return None
    element = dataset.get_item(tag)
    return element if isinstance(element, RawDataElement) else None


def _value(dataset: Dataset, keyword: str) -> Any:
    tag = _tag(keyword)
    return dataset[tag].value if tag in dataset else None
