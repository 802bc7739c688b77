"""The table by which published SAM-Med3D numbers can be compared."""

from sammoe.training.evaluation.rows import Row
from sammoe.training.evaluation.systems import FT_EXPERT
from sammoe.training.evaluation.tables.answers import BOX, Answers, Asked
from sammoe.training.evaluation.tables.paper import title_of
from sammoe.training.evaluation.tables.statistics import figure
from sammoe.training.evaluation.tables.table import Cell, Table


def table_crop(answers: Answers) -> Table:
    """By the measure of published SAM-Med3D numbers; needs rows with ``dice_crop``."""
    rows: list[list[Cell]] = []
    for group in ("own", "general"):
        for system in answers.systems:
            cells = [
                figure(answers.bootstrap.mean(_best_so_far(answers, system, group, number), _crop))
                for number in (1, 3, answers.clicks)
            ]
            box = answers.select(system, group, BOX)
            rows.append(
                [group, title_of(system), *cells, figure(answers.bootstrap.mean(box, _crop))]
            )
    heads = ["1 click", *(f"best of {number} clicks" for number in (3, answers.clicks))]
    return Table(
        "sam_med3d",
        "By SAM-Med3D's own protocol",
        ("classes", "model", *heads, "box"),
        rows,
        "Dice inside of the crop at 1.5 mm, logits against 0.5, the best of the clicks: comparable"
        " with published SAM-Med3D numbers, and kinder than the other tables.",
    )


def _best_so_far(answers: Answers, system: str, group: str, number: int) -> list[Row]:
    """One row for each target: that of the click with the best Dice in the crop."""
    best: dict[tuple[str, ...], Row] = {}
    for row in answers.select(system, group, Asked("", "loop", (1, number))):
        key = (row.dataset, row.case, row.structure, row.used if system == FT_EXPERT else "")
        if key not in best or row.dice_crop > best[key].dice_crop:
            best[key] = row
    return list(best.values())


def _crop(row: Row) -> float:
    return row.dice_crop
