"""Values out of a dataset, whatever form they have there."""

import math
from collections.abc import Iterable

from pydicom import Dataset

from sammoe.errors import DicomInvalid


def text(dataset: Dataset, keyword: str) -> str:
    r"""A value as text; several joined by ``\``; empty where it is missing."""
    value = dataset.get(keyword)
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
    value = dataset.get(keyword)
    if value is None or value == "":
        return None
    parts = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
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
    value = dataset.get(keyword)
    return [] if value is None else list(value)
