"""What a calibration found: for people, as a table of the whole grid, and as a picture."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sammoe.bundle import PromptKind, Routing
from sammoe.training.calibration.doubt import Limit
from sammoe.training.calibration.fitting import Bench, Budget, Setting
from sammoe.training.calibration.per_expert import Comparison

CURVE, PICTURE = "calibration.csv", "calibration.png"


@dataclass(frozen=True, eq=False)
class Calibration:
    """Settings and limits that were chosen, and the grid that they were chosen from."""

    budget: Budget
    benches: Sequence[Bench]
    grids: Sequence[Sequence[Setting]]
    chosen: Sequence[Setting]
    agreement: Limit | None
    distance: Limit | None

    def routing(self, routing: Routing) -> Routing:
        """The bundle's routing with what was found; kinds of prompt without samples stay."""
        found = {setting.kind for setting in self.chosen}
        own = {
            name: {kind: slack for kind, slack in slacks.items() if kind not in found}
            for name, slacks in routing.own_slack.items()
        }
        for setting in self.chosen:
            for name, slack in setting.own_slack.items():
                own.setdefault(name, {})[setting.kind] = slack
        return Routing(
            gate=routing.gate,
            fusion=routing.fusion,
            tau=routing.tau | {setting.kind: setting.tau for setting in self.chosen},
            slack=routing.slack | {setting.kind: setting.slack for setting in self.chosen},
            own_slack={name: slacks for name, slacks in own.items() if slacks},
            agreement=self.agreement.value if self.agreement else None,
            distance=self.distance.value if self.distance else None,
        )


def lines(found: Calibration) -> Iterator[str]:
    """The result for people, in Markdown."""
    yield (
        "| prompt | tau | slack | own: general model | own | general lost | budget |"
        " unchecked at tau .5 |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for bench, setting in zip(found.benches, found.chosen, strict=True):
        base, plain = bench.own_dice(bench.general), bench.measure(0.5, None)
        yield (
            f"| {setting.kind} | {setting.tau:g} | {_slack(setting.slack)} | {base:.3f} |"
            f" {setting.own:.3f} | {setting.loss:.4f} | {_budget(found.budget[setting.kind])} |"
            f" {plain.own:.3f}, lost {plain.loss:.4f} |"
        )
    yield ""
    for setting in found.chosen:
        if setting.own_slack:
            yield f"{setting.kind}, slack of each expert: {_slacks(setting, ', ')}"
    yield _limit("candidates_disagree: agreement below", found.agreement)
    yield _limit("far_from_training: distance above", found.distance)


def comparison_lines(comparisons: Mapping[PromptKind, Comparison | None]) -> Iterator[str]:
    """What a tau for each expert would give, in Markdown."""
    yield ""
    yield "| prompt | one tau: own, lost | a tau for each expert: own, lost | gained |"
    yield "|---|---|---|---|"
    for kind, told in comparisons.items():
        if told is None:
            yield f"| {kind} | too few patients to compare | | |"
            continue
        one, many = (f"{own:.3f}, {lost:.4f}" for own, lost in (told.one, told.many))
        yield f"| {kind} | {one} | {many} | {told.many[0] - told.one[0]:+.3f} |"
    yield "fitted on half of the patients, told on the other half"


def write_curve(found: Calibration, folder: Path) -> Path:
    """Every pair of the grid as CSV, and what was chosen beside it."""
    path = folder / CURVE
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        columns = ["kind", "tau", "slack", "own_slack", "own", "general", "loss", "chosen"]
        writer.writerow(columns)
        for grid, chosen in zip(found.grids, found.chosen, strict=True):
            for s in grid if chosen in grid else [*grid, chosen]:
                scores = [f"{value:.5f}" for value in (s.own, s.general, s.loss)]
                slacks = [_slack(s.slack), _slacks(s, ";")]
                writer.writerow([s.kind, s.tau, *slacks, *scores, int(s == chosen)])
    return path


def draw_curve(found: Calibration, folder: Path) -> Path | None:
    """Own Dice against general loss, a line for each slack; None where matplotlib is missing."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    count = len(found.grids)
    canvas, panels = pyplot.subplots(
        1, count, figsize=(4.5 * count, 4), squeeze=False, layout="constrained"
    )
    for axes, grid, chosen in zip(panels[0], found.grids, found.chosen, strict=True):
        slacks = list(dict.fromkeys(setting.slack for setting in grid))
        for place, slack in enumerate(slacks):
            part = [setting for setting in grid if setting.slack == slack]
            shade = pyplot.get_cmap("viridis")(place / len(slacks))
            label = f"slack {_slack(slack)}"
            axes.plot([s.loss for s in part], [s.own for s in part], color=shade, label=label)
        if (budget := found.budget[chosen.kind]) is not None:
            axes.axvline(budget, color="grey", lw=0.8, ls="--")
        axes.plot([chosen.loss], [chosen.own], "o", color="crimson")
        taken = "of each expert" if chosen.own_slack else _slack(chosen.slack)
        axes.set_title(f"{chosen.kind}: tau {chosen.tau:g}, slack {taken}")
        axes.set_xlabel("Dice lost on general classes")
        axes.legend(fontsize=6, loc="lower right")
    panels[0][0].set_ylabel("Dice on own classes")
    path = folder / PICTURE
    canvas.savefig(path, dpi=120, metadata={"Software": None})
    pyplot.close(canvas)
    return path


def _budget(budget: float | None) -> str:
    return "kept" if budget is None else f"{budget:g}"


def _slacks(setting: Setting, between: str) -> str:
    return between.join(f"{name} {_slack(slack)}" for name, slack in setting.own_slack.items())


def _slack(slack: float | None) -> str:
    return "off" if slack is None else f"{slack:g}"


def _limit(what: str, limit: Limit | None) -> str:
    if limit is None:
        return f"{what}: no limit tells bad answers from good ones here"
    return (
        f"{what} {limit.value:g}: warns of {limit.warned:.0%} of the answers, of {limit.bad:.0%} of"
        f" the bad ones, of {limit.good:.0%} of the good ones"
    )
