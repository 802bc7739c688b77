"""How well warnings foretell bad answers."""

from collections.abc import Callable

from sammoe.training.evaluation.rows import Row
from sammoe.training.evaluation.tables.answers import Answers
from sammoe.training.evaluation.tables.statistics import figure
from sammoe.training.evaluation.tables.table import Cell, Table

BAD_DICE = 0.5
"""Below it an answer is of no use: what warnings should foretell."""


def table_doubt(answers: Answers) -> Table:
    """How well each warning foretells a bad answer."""
    rows: list[list[Cell]] = []
    for name in answers.mixtures[:1]:
        found = [row for row in answers.rows if row.system == name]
        bad = [row for row in found if row.dice < BAD_DICE]
        codes = sorted({code for row in found for code in row.warnings.split(";") if code})
        every = answers.bootstrap.pooled(found, _is_bad)
        rows.append(["(any answer)", "1", figure(every), "1"])
        for code in codes:
            warned = [row for row in found if _has(row, code)]
            pools = [(found, _has_code(code)), (warned, _is_bad), (bad, _has_code(code))]
            cells = [figure(answers.bootstrap.pooled(*pool)) for pool in pools]
            rows.append([code, *cells])
    return Table(
        "doubt",
        f"Warnings, and answers with Dice below {BAD_DICE}",
        ("warning", "share of answers", "precision", "recall"),
        rows,
        "Precision: share of warned answers that are bad. Recall: share of bad answers that are"
        " warned of. The first line is what warning of every answer would give.",
    )


def _has(row: Row, code: str) -> bool:
    return code in row.warnings.split(";")


def _has_code(code: str) -> Callable[[Row], float]:
    return lambda row: float(_has(row, code))


def _is_bad(row: Row) -> float:
    return float(row.dice < BAD_DICE)
