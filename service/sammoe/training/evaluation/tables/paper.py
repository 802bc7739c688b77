"""The paper's tables: systems against kinds of classes, selectors, and classes one by one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sammoe.training.evaluation.rows import Row
from sammoe.training.evaluation.systems import BASELINE, FT_EXPERT, VARIANTS
from sammoe.training.evaluation.tables.answers import BOX, JITTER, LOOSE, Answers, Asked, Filter
from sammoe.training.evaluation.tables.statistics import Figure, figure
from sammoe.training.evaluation.tables.table import Cell, Table
from sammoe.training.evaluation.targets import FT_ON_GENERAL

_TITLES = {BASELINE: "Baseline", FT_EXPERT: "FT-expert", "ours": "Ours (heads)"}


@dataclass(frozen=True)
class Column:
    """Classes of Table 1: which answers count, and of the FT-expert's those of which experts."""

    title: str
    group: str
    keep: Filter
    asked: Filter


def title_of(system: str) -> str:
    """A system's name for people."""
    return _TITLES.get(system, f"{system} gate")


def columns_of(answers: Answers) -> list[Column]:
    """The paper's two halves; the left one needs a downstream task."""
    one = answers.downstream
    right = [
        Column("other classes", "general", lambda row: True, lambda row: row.used != one),
        Column("weak classes", "own", lambda row: row.expert != one, lambda row: True),
    ]
    if one is None:
        return right
    # An expert is not asked about scans that are not for it; nor may the other rows be, here.
    asked = {
        _target_of(row)
        for row in answers.rows
        if (row.system, row.group, row.used) == (FT_EXPERT, "general", one)
    }
    return [
        Column(
            "original tasks",
            "general",
            lambda row: _target_of(row) in asked,
            lambda row: row.used == one,
        ),
        Column("downstream task", "own", lambda row: row.expert == one, lambda row: True),
        *right,
    ]


def table_1(answers: Answers, measure: str = "dice") -> Table:
    """Systems against kinds of classes, points and box; ``measure``: ``dice`` or ``nsd``."""
    value: Callable[[Row], float] = lambda row: getattr(row, measure)  # noqa: E731
    prompts = [answers.loop, answers.at_once, BOX]
    columns = columns_of(answers)
    rows: list[list[Cell]] = []
    for system in answers.systems:
        cells: list[Cell] = [title_of(system)]
        for column in columns:
            for asked in prompts:
                found = answers.select(system, column.group, asked, column.keep)
                if system == FT_EXPERT:
                    found = [row for row in found if column.asked(row)]
                cells.append(figure(answers.bootstrap.mean(found, value)))
        rows.append(cells)
    heads = [f"{column.title}, {asked.title}" for column in columns for asked in prompts]
    what = "Dice" if measure == "dice" else "NSD at 1 mm"
    downstream = f" The downstream task is {answers.downstream}." if answers.downstream else ""
    return Table(
        f"table_1_{measure}",
        f"Table 1: {what}",
        ("model", *heads),
        rows,
        "Original tasks and other classes are the general classes: those of no expert; original"
        " tasks only in scans that the downstream task's expert is for. On them the FT-expert is"
        " the downstream task's (original tasks), or other experts (other classes):"
        f" {FT_ON_GENERAL} experts in all for each target, of the scan's modality, drawn by seed,"
        f" with an exact box and with clicks.{downstream}",
    )


def table_2(answers: Answers, mixture: str) -> Table:
    """Variants of the selector behind one gate, on the same candidate masks."""
    prompts = [answers.at_once, BOX]
    groups = {"own classes": "own", "general classes": "general"}
    names = {"Baseline": BASELINE, "Upper bound (own expert)": FT_EXPERT}
    names |= {variant.name: f"{mixture}: {variant.name}" for variant in VARIANTS}
    names |= {"as served": mixture}
    rows: list[list[Cell]] = []
    for title, system in names.items():
        cells: list[Cell] = [title]
        for group in groups.values():
            for asked in prompts:
                known = system != FT_EXPERT or group == "own"
                draws = answers.dice(system, group, asked) if known else None
                cells.append("–" if draws is None else figure(draws))
        rows.append(cells)
    heads = [f"{title}, {asked.title}" for title in groups for asked in prompts]
    return Table(
        f"table_2_{mixture}",
        f"Table 2: the selector, {title_of(mixture)}",
        ("selector", *heads),
        rows,
        "No check and mixed probabilities but where said. Average: equal weights. Attention:"
        " weights w = softmax(M_g, M_top) of the two logits, cell by cell, M_o = w_g M_g + w_top"
        " M_top, both with tau 0.5; the paper gives no formula. Logits: logits are mixed in place"
        " of probabilities. Check: an expert's mask must fit the prompt, with the slacks of the"
        " first bundle, whatever the gate. As served: with the tau and the slacks of this gate's"
        " own bundle.",
    )


def table_classes(answers: Answers) -> Table:
    """Every class by itself (the paper's Fig. 4)."""
    main = answers.mixtures[:1]
    prompts = [BOX, JITTER, LOOSE, answers.loop]
    systems = [BASELINE, FT_EXPERT, *main]
    rows: list[list[Cell]] = []
    for group in ("own", "general"):
        for dataset, structure in classes_of(answers, group):
            cells: list[Cell] = [structure, dataset, _targets(answers, dataset, structure), group]
            for asked in prompts:
                cells += [
                    class_figure(answers, system, group, asked, dataset, structure)
                    for system in systems
                ]
            cells += [
                class_figure(answers, system, group, BOX, dataset, structure, "nsd")
                for system in systems
            ]
            rows.append(cells)
    heads = [f"{asked.title}, {title_of(system)}" for asked in prompts for system in systems]
    heads += [f"box, {title_of(system)}, NSD" for system in systems]
    return Table(
        "classes", "Classes", ("class", "data", "targets", "group", *heads), rows, "Dice, and NSD."
    )


def classes_of(answers: Answers, group: str) -> Iterator[tuple[str, str]]:
    """Data set and name of every class of a group."""
    found = {(row.dataset, row.structure): None for row in answers.rows if row.group == group}
    yield from sorted(found)


def class_figure(
    answers: Answers,
    system: str,
    group: str,
    asked: Asked,
    dataset: str,
    structure: str,
    measure: str = "dice",
) -> Figure:
    """A system's mean on one class."""
    rows = answers.select(
        system, group, asked, lambda row: (row.dataset, row.structure) == (dataset, structure)
    )
    return figure(answers.bootstrap.mean(rows, lambda row: getattr(row, measure)))


def _target_of(row: Row) -> tuple[str, str, str]:
    return row.dataset, row.case, row.structure


def _targets(answers: Answers, dataset: str, structure: str) -> str:
    of_class = {
        row.case
        for row in answers.rows
        if (row.dataset, row.structure, row.prompt) == (dataset, structure, "box")
    }
    return str(len(of_class))
