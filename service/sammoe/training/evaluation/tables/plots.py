"""The paper's Fig. 4 (bars for every class) and Dice against clicks, as PNG."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sammoe.training.evaluation.systems import BASELINE, FT_EXPERT
from sammoe.training.evaluation.tables.answers import BOX, Answers, Asked
from sammoe.training.evaluation.tables.paper import class_figure, classes_of, title_of
from sammoe.training.evaluation.tables.statistics import Figure, figure

_COLOURS = ("#9aa5b1", "#e0a458", "#2f6690", "#7a9e7e", "#b56576")


def write_plots(answers: Answers, folder: Path) -> Iterator[Path]:
    """Draw every plot; nothing where matplotlib is not installed.

    Yields
    ------
    The files written.
    """
    try:
        import matplotlib
    except ModuleNotFoundError:
        return
    matplotlib.use("Agg")
    for group, letter in (("own", "a"), ("general", "b")):
        for asked in (BOX, answers.loop):
            if found := list(classes_of(answers, group)):
                path = folder / f"classes_{letter}_{asked.prompt}.png"
                _bars(answers, group, asked, found, path)
                yield path
    if answers.clicks:
        path = folder / "clicks.png"
        _curves(answers, path)
        yield path


def _bars(
    answers: Answers, group: str, asked: Asked, classes: list[tuple[str, str]], path: Path
) -> None:
    from matplotlib import pyplot

    systems = [BASELINE, FT_EXPERT, *answers.mixtures[:1]]
    places, width = np.arange(len(classes)), 0.8 / len(systems)
    canvas, axes = pyplot.subplots(figsize=(3 + 0.5 * len(classes), 4), layout="constrained")
    for number, system in enumerate(systems):
        found = [class_figure(answers, system, group, asked, *name) for name in classes]
        axes.bar(
            places + (number - (len(systems) - 1) / 2) * width,
            [f.value for f in found],
            width,
            yerr=_errors(found),
            label=title_of(system),
            color=_COLOURS[number],
            error_kw={"lw": 0.8},
        )
    axes.set_xticks(places, [f"{name}\n{dataset}" for dataset, name in classes], rotation=60)
    axes.tick_params("x", labelsize=7)
    axes.set_ylabel(f"Dice, {asked.title}")
    axes.set_ylim(0, 1)
    axes.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=5, frameon=False)
    canvas.savefig(path, dpi=120, metadata={"Software": None})
    pyplot.close(canvas)


def _curves(answers: Answers, path: Path) -> None:
    from matplotlib import pyplot

    canvas, both = pyplot.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    numbers = np.arange(1, answers.clicks + 1)
    for axes, group in zip(both, ("own", "general"), strict=True):
        for place, system in enumerate(answers.systems):
            found = [
                figure(answers.dice(system, group, Asked("", "loop", (int(n), int(n)))))
                for n in numbers
            ]
            axes.errorbar(
                numbers + 0.05 * place,
                [f.value for f in found],
                _errors(found),
                label=title_of(system),
                color=_COLOURS[place],
                lw=1.2,
                elinewidth=0.6,
            )
        axes.set_title(f"{'weak' if group == 'own' else 'general'} classes")
        axes.set_xlabel("clicks")
    both[0].set_ylabel("Dice")
    both[0].legend(fontsize=8, loc="lower right")
    canvas.savefig(path, dpi=120, metadata={"Software": None})
    pyplot.close(canvas)


def _errors(found: list[Figure]) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    below = [max(0.0, f.value - f.low) for f in found]
    above = [max(0.0, f.high - f.value) for f in found]
    return np.array([below, above], dtype=np.float64)
