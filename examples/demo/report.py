"""What the demo prints, and the value that it must not fall short of."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from examples.demo.service import Answer
from examples.demo.structures import Millimetres

TOLERANCE: Final = 0.05
"""How far the Dice may fall below the recorded one."""

_PHASES: Final = ("queue", "read", "crop", "encode", "decode", "paste", "store")


@dataclass(frozen=True, eq=False)
class Click:
    """One click, its answer and how good that is."""

    place: Millimetres
    positive: bool
    answer: Answer
    dice: float


def table(clicks: Sequence[Click]) -> str:
    """One line per click: where, how long and for what (ms), and the Dice."""
    head = ["click", "at mm (RAS)", "Dice", "answer", *_PHASES, "embedding"]
    rows = [
        [
            f"{number} {'+' if click.positive else '-'}",
            ", ".join(f"{value:g}" for value in click.place),
            f"{click.dice:.3f}",
            f"{click.answer.milliseconds:.0f} ms",
            *(_milliseconds(click.answer.phases, phase) for phase in _PHASES),
            "cached" if click.answer.cached else "made",
        ]
        for number, click in enumerate(clicks, start=1)
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in [head, *rows]
    ]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines)


def _milliseconds(phases: dict[str, float], phase: str) -> str:
    return f"{phases[phase]:.1f}" if phase in phases else ""


def recorded_dice(results: Path, structure: str, clicks: int) -> float | None:
    """The Dice that the results record for the demo, in a line ``demo: NAME, N clicks, DICE``."""
    pattern = rf"^demo: {re.escape(structure)}, {clicks} clicks, (\d\.\d+)$"
    found = re.search(pattern, results.read_text(), re.MULTILINE)
    return float(found[1]) if found else None
