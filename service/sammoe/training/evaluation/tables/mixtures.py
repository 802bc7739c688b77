"""What the gate costs and brings: gain kept, general loss, routing, two candidates, doubt."""

from collections.abc import Callable

import numpy as np

from sammoe.training.evaluation.rows import Row
from sammoe.training.evaluation.systems import BASELINE, FT_EXPERT
from sammoe.training.evaluation.tables.answers import (
    BOX,
    CLICK,
    JITTER,
    LOOSE,
    Answers,
    Asked,
    Filter,
)
from sammoe.training.evaluation.tables.paper import title_of
from sammoe.training.evaluation.tables.statistics import Draws, figure
from sammoe.training.evaluation.tables.table import Cell, Table


def gain_kept(answers: Answers, mixture: str, asked: Asked) -> Draws:
    """Share of the experts' gain over the baseline on their own classes."""
    ours, tuned, base = (
        answers.dice(system, "own", asked) for system in (mixture, FT_EXPERT, BASELINE)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        kept: Draws = (ours - base) / (tuned - base)
    return kept


def general_loss(
    answers: Answers, mixture: str, asked: Asked, keep: Filter = lambda row: True
) -> Draws:
    """Dice that general classes lose against the baseline."""
    base, ours = (answers.dice(name, "general", asked, keep) for name in (BASELINE, mixture))
    return base - ours


def top_right(answers: Answers, mixture: str, asked: Asked) -> Draws:
    """Share of prompts on experts' own classes whose top expert is the right one."""
    rows = answers.select(mixture, "own", asked)
    return answers.bootstrap.mean(rows, _right_on_top)


def best_of_two(answers: Answers, mixture: str, group: str, asked: Asked) -> Draws:
    """Dice of the better of the general mask and the top expert's, whatever tau says."""
    rows = answers.select(mixture, group, asked)
    return answers.bootstrap.mean(rows, better)


def best_of_three(answers: Answers, mixture: str, group: str, asked: Asked) -> Draws:
    """Dice of the best of these two and the rival's; NaN where no rival's was measured."""
    rows = answers.select(mixture, group, asked)
    measured = any(np.isfinite(row.dice_rival) for row in rows)
    return answers.bootstrap.mean(rows if measured else [], best)


def better(row: Row) -> float:
    """Dice of the better candidate of an answer."""
    return float(np.fmax(row.dice_general, row.dice_expert))


def best(row: Row) -> float:
    """Dice of the best of all candidates, the rival's among them."""
    return float(np.fmax(better(row), row.dice_rival))


def table_gain(answers: Answers) -> Table:
    """Share of the experts' gain that each mixture keeps."""
    prompts = [BOX, JITTER, LOOSE, CLICK, answers.loop, answers.at_once]
    rows: list[list[Cell]] = [
        [title_of(name), *(figure(gain_kept(answers, name, asked)) for asked in prompts)]
        for name in answers.mixtures
    ]
    return Table(
        "gain_kept",
        "Share of the experts' gain that is kept",
        ("model", *(asked.title for asked in prompts)),
        rows,
        "(mixture - Baseline) / (FT-expert - Baseline), of mean Dice on experts' own classes.",
    )


def table_loss(answers: Answers) -> Table:
    """Dice lost on general classes, by kind of prompt."""
    prompts = [BOX, JITTER, LOOSE, answers.later, CLICK, answers.at_once]
    kinds: dict[str, Filter] = {
        "all": lambda row: True,
        "never labelled for the gate": lambda row: row.structure not in answers.seen,
    }
    if answers.seen:
        kinds["labelled for the gate"] = lambda row: row.structure in answers.seen
    rows: list[list[Cell]] = [
        [
            title_of(name),
            title,
            *(figure(general_loss(answers, name, asked, keep)) for asked in prompts),
        ]
        for name in answers.mixtures
        for title, keep in kinds.items()
    ]
    return Table(
        "general_loss",
        "Dice lost on general classes",
        ("model", "classes", *(asked.title for asked in prompts)),
        rows,
        "Baseline - mixture: below 0 is a gain.",
    )


def table_routing(answers: Answers) -> Table:
    """Which expert the gate ranks first, and which prompts experts take."""
    prompts = [BOX, JITTER, LOOSE, CLICK, answers.later, answers.at_once]
    shares: list[tuple[str, str, Callable[[Row], float]]] = [
        ("own prompts: right expert on top", "own", _right_on_top),
        ("own prompts: right expert used", "own", lambda row: float(row.used == row.expert)),
        ("general prompts: an expert used", "general", lambda row: float(row.used != "general")),
    ]
    rows: list[list[Cell]] = []
    for name in answers.mixtures:
        for title, group, value in shares:
            figures = [
                figure(answers.bootstrap.mean(answers.select(name, group, asked), value))
                for asked in prompts
            ]
            rows.append([title_of(name), title, *figures])
    return Table(
        "routing",
        "Routing",
        ("model", "share of", *(asked.title for asked in prompts)),
        rows,
    )


def table_two(answers: Answers) -> Table:
    """The better of two candidates beside what is shown first."""
    prompts = [CLICK, answers.loop, answers.at_once, BOX]
    rows: list[list[Cell]] = []
    for group, title in (("own", "own classes"), ("general", "general classes")):
        systems = [BASELINE, *([FT_EXPERT] if group == "own" else []), *answers.mixtures]
        for system in systems:
            cells = [figure(answers.dice(system, group, asked)) for asked in prompts]
            rows.append([title, title_of(system), *cells])
        for name in answers.mixtures:
            for words, measure in (("two", best_of_two), ("three", best_of_three)):
                cells = [figure(measure(answers, name, group, asked)) for asked in prompts]
                rows.append([title, f"{title_of(name)}: best of {words}", *cells])
    return Table(
        "best_of_two",
        "Best of two candidates",
        ("classes", "model", *(asked.title for asked in prompts)),
        rows,
        "Two: the general mask and the top expert's, whatever tau says; three: the second-best"
        " expert's, too. What a user gets who looks at all of them. With several clicks, those of"
        " the last one.",
    )


def table_clicks(answers: Answers) -> Table:
    """Dice after each click."""
    rows: list[list[Cell]] = []
    for group in ("own", "general"):
        for system in answers.systems:
            cells = [
                figure(answers.dice(system, group, Asked("", "loop", (number, number))))
                for number in range(1, answers.clicks + 1)
            ]
            rows.append([group, title_of(system), *cells])
    numbers = [f"click {number}" for number in range(1, answers.clicks + 1)]
    return Table("clicks", "Dice after each click", ("classes", "model", *numbers), rows)


def _right_on_top(row: Row) -> float:
    return float(row.top == row.expert)
