"""A table as a value: Markdown for people, CSV for programs."""

import csv
import io
from dataclasses import dataclass, field

from sammoe.training.evaluation.tables.statistics import Figure

Cell = str | Figure


@dataclass(frozen=True)
class Table:
    """Title, what to know when reading it, column heads, and rows of cells."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[list[Cell]] = field(default_factory=list)
    note: str = ""

    def markdown(self) -> str:
        """With a heading; the note stands under it."""
        lines = [f"## {self.title}", ""]
        if self.note:
            lines += [self.note, ""]
        lines += [_line(self.columns), "|" + "---|" * len(self.columns)]
        lines += [_line([str(cell) for cell in row]) for row in self.rows]
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """Figures take three columns: value, low and high end of the interval."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        figures = [
            any(isinstance(row[place], Figure) for row in self.rows)
            for place in range(len(self.columns))
        ]
        head: list[str] = []
        for name, split in zip(self.columns, figures, strict=True):
            head += [name, f"{name} low", f"{name} high"] if split else [name]
        writer.writerow(head)
        for row in self.rows:
            line: list[str] = []
            for cell, split in zip(row, figures, strict=True):
                line += _split(cell) if split else [str(cell)]
            writer.writerow(line)
        return stream.getvalue()


def _split(cell: Cell) -> list[str]:
    if isinstance(cell, str):
        return [cell, "", ""]
    return ["" if v != v else f"{v:.5f}" for v in (cell.value, cell.low, cell.high)]


def _line(cells: "list[str] | tuple[str, ...]") -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
