"""JSON files that describe a data set."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sammoe.errors import DataSetInvalid


def read_object(path: Path) -> dict[str, Any]:
    """The object that a file holds.

    Raises
    ------
    DataSetInvalid
        The file can not be read, is no JSON, holds something else, or says one thing twice, of
        which JSON's readers keep the last in silence. The detail names the file.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counts = Counter(name for name, _ in pairs)
        if doubled := [name for name, count in counts.items() if count > 1]:
            raise DataSetInvalid(f"{path} says {doubled[0]!r} twice: leave one of them")
        return dict(pairs)

    try:
        content = json.loads(path.read_text("utf-8-sig"), object_pairs_hook=once)
    except OSError as error:
        raise DataSetInvalid(f"{path} can not be read: {error.strerror}") from error
    except ValueError as error:
        raise DataSetInvalid(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataSetInvalid(f"{path} must hold an object")
    return content


def some(names: Sequence[str]) -> str:
    """The first three, and how many more there are: a file may name thousands."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
