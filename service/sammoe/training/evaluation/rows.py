"""One row per answer, on the disk as soon as its case is done, so that a killed run goes on."""

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from sammoe.errors import DataSetInvalid
from sammoe.files import replacing

NAN = float("nan")


@dataclass(frozen=True)
class Row:
    """One answer. What is not known is NaN or empty.

    Attributes
    ----------
    dataset, case, patient, structure
        Of the target; ``structure`` is its class, and called so in the file.
    group
        ``own``: one of the experts was trained for it; else ``general``.
    expert
        That expert.
    system
        ``baseline``, ``ft_expert``, the mixture's name, or ``<mixture>: <variant>``.
    prompt, clicks
        ``box``, ``jitter``, ``loose`` (0 clicks), ``at_once`` (so many), ``loop`` (after so many).
    dice, nsd
        On the volume's own grid; NSD at 1 mm. NaN where it was not measured.
    used, top, s_top, check, warnings, agreement, distance
        Of the answer's route, as served; warnings are codes with ``;`` between.
    dice_general, dice_expert, dice_rival
        Of the general mask and of the top expert's, whatever tau says; and of that expert's which
        `sammoe.segmentation.rivals` names.
    dice_crop
        By the protocol of SAM-Med3D: see `sammoe.training.evaluation.protocol`.
    """

    dataset: str
    case: str
    patient: str
    structure: str
    group: str
    expert: str
    system: str
    prompt: str
    clicks: int
    dice: float
    nsd: float = NAN
    used: str = ""
    top: str = ""
    s_top: float = NAN
    check: str = ""
    warnings: str = ""
    agreement: float = NAN
    distance: float = NAN
    dice_general: float = NAN
    dice_expert: float = NAN
    dice_rival: float = NAN
    dice_crop: float = NAN


_RENAMED = {"structure": "class"}
_FIELDS = {_RENAMED.get(field.name, field.name): field.name for field in fields(Row)}
_COLUMNS = list(_FIELDS)
_TYPES: dict[str, Any] = {
    name: field.type for name, field in zip(_COLUMNS, fields(Row), strict=True)
}
_NEEDED = {
    name for name, field in zip(_COLUMNS, fields(Row), strict=True) if field.default is MISSING
}


class RowFile:
    """``rows.csv`` in a folder, and ``done.txt`` with the cases that it holds completely.

    Opening drops rows of cases that a killed run left half written.

    Raises
    ------
    DataSetInvalid
        The rows are another version's, which measured less: means over both would mislead.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._rows, self._done = folder / "rows.csv", folder / "done.txt"
        done = self._done.read_text("utf-8") if self._done.is_file() else ""
        self.done = set(done.splitlines())
        written = self._written()
        kept = [row for row in written if self.holds(row.dataset, row.case)]
        with replacing(self._rows) as stream:
            stream.write(_text([_COLUMNS, *map(_cells, kept)]).encode())

    def holds(self, dataset: str, case: str) -> bool:
        """Whether a case is complete."""
        return _key(dataset, case) in self.done

    def read(self) -> list[Row]:
        """Rows of all complete cases."""
        return read_rows(self._rows)

    def _written(self) -> list[Row]:
        if not self._rows.is_file():
            return []
        header, rows = _read(self._rows)
        if missing := set(_COLUMNS) - set(header):
            raise DataSetInvalid(
                f"{self._rows} is of an earlier version, which did not measure"
                f" {', '.join(sorted(missing))}: begin anew with another --out; --tables"
                " still makes its tables"
            )
        return rows

    def add(self, dataset: str, case: str, rows: Iterable[Row]) -> None:
        """Append all rows of a case; it is complete then."""
        for path, text in (
            (self._rows, _text(map(_cells, rows))),
            (self._done, _key(dataset, case) + "\n"),
        ):
            with path.open("a", encoding="utf-8", newline="") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
        self.done.add(_key(dataset, case))


def read_rows(path: Path) -> list[Row]:
    """Read ``rows.csv``, also of earlier versions, which measured less; their gaps are NaN.

    A last line without an end is left out.

    Raises
    ------
    DataSetInvalid
        The file has other columns, or a cell that is no number where one must be.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[list[str], list[Row]]:
    """Its columns, and its rows."""
    text = path.read_text("utf-8")
    lines = csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))
    header = next(lines, [])
    if not _NEEDED <= set(header) <= set(_COLUMNS) or len(header) > len(set(header)):
        raise DataSetInvalid(f"{path} has not the columns of an evaluation: {', '.join(_COLUMNS)}")
    try:
        return header, [_row(header, line) for line in lines]
    except (TypeError, ValueError) as error:
        raise DataSetInvalid(f"{path}: {error}") from error


def _row(header: list[str], line: list[str]) -> Row:
    cells = zip(header, line, strict=True)
    return Row(**{_FIELDS[name]: _value(_TYPES[name], cell) for name, cell in cells})


def _value(kind: Any, cell: str) -> Any:
    if kind is float:
        return float(cell) if cell else NAN
    return kind(cell)


def _cells(row: Row) -> list[str]:
    return [_cell(getattr(row, name)) for name in _FIELDS.values()]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return str(value)


def _text(lines: Iterable[list[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()


def _key(dataset: str, case: str) -> str:
    return f"{dataset}/{case}"
