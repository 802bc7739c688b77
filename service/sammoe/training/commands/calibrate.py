"""``sammoe calibrate``: when a bundle's experts answer."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from sammoe.bundle import PROMPT_KINDS, Bundle, Manifest, Routing, load_bundle
from sammoe.bundle.assembling import assemble
from sammoe.bundle.options import folder_option
from sammoe.errors import BundleInvalid, Conflict, DataSetInvalid, InvalidInput
from sammoe.training.arguments import not_negative_int, positive_int
from sammoe.training.calibration.doubt import agreement_limit, answered, distance_limit
from sammoe.training.calibration.each import EACH, fit_each
from sammoe.training.calibration.fitting import (
    BUDGET,
    Bench,
    Budget,
    Setting,
    benches,
    choose,
    grid,
)
from sammoe.training.calibration.per_expert import compare
from sammoe.training.calibration.report import (
    Calibration,
    comparison_lines,
    draw_curve,
    lines,
    write_curve,
)
from sammoe.training.calibration.samples import NAME, Sample, sample_case
from sammoe.training.commands.evaluate import find_jobs
from sammoe.training.evaluation.namesakes import tell_of_namesakes
from sammoe.training.evaluation.running import Job, expert_of, over_cases
from sammoe.volume.volume import Modality


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.description = (
        "On calibration patients, the thresholds of a bundle's routing are fitted for each kind of"
        " prompt (box, one click, several): tau, which the gate's score must exceed, and the"
        " slack by which an expert's mask may fit the prompt worse than the general one. Own"
        " classes of the experts gain as much as a budget of Dice lost on all other classes"
        " allows, where what one prompt gains does not pay for what another loses. For several"
        " clicks, experts with three patients or more get slacks of their own, where that is"
        " better. The limits of two warnings are fitted too. All of it is written into the"
        " bundle's manifest; the whole grid is in OUT/calibration.csv, a picture beside it."
    )
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="to calibrate")
    parser.add_argument(
        "--data", type=Path, nargs="+", action="extend", required=True, metavar="DIR",
        help="data sets (nnU-Net or SAM-Med3D folders) with own classes of the experts and others",
    )  # fmt: skip
    parser.add_argument(
        "--budget", type=_share, nargs="+", default=[("", BUDGET)], metavar="DICE",
        help="mean Dice that general classes may lose, for all kinds of prompt and then for single"
        f" ones, as in: 0.01 box=0.004 click=0.03 (default {BUDGET:g}); keep in place of a number"
        " leaves a kind's thresholds as they are",
    )  # fmt: skip
    parser.add_argument(
        "--per-expert", action="store_true", help="tell what a tau for each expert would give"
    )
    parser.add_argument("--dry-run", action="store_true", help="leave the bundle as it is")
    parser.add_argument(
        "--out",
        type=folder_option,
        metavar="FOLDER",
        help="for grid and picture (default: the bundle)",
    )
    parser.add_argument(
        "--one-window", action="store_true",
        help="masks stay in the first prompt's window (default: followed, as served)",
    )  # fmt: skip
    parser.add_argument("--limit-cases", type=positive_int, metavar="N", help="of each data set")
    parser.add_argument("--jobs", type=positive_int, default=2, help="processes (default 2)")
    parser.add_argument(
        "--users", type=positive_int, default=2,
        help="how many ask about every structure, each with prompts of its own: more tell better"
        " where thresholds belong, and take longer (default 2)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=not_negative_int, default=0,
        help="of the first user's prompts; the next ones' are SEED + 1, ... (default 0)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Calibrate."""
    budget = _budget(args.budget)
    if args.per_expert and set(budget.values()) == {None}:
        raise InvalidInput(
            "--per-expert compares what is fitted, and every kind is kept: budget one"
        )
    bundle = load_bundle(args.bundle)
    if not bundle.manifest.experts:
        raise BundleInvalid(f"{args.bundle} has no experts: there is nothing to calibrate")
    jobs = find_jobs(args.data, "calibrate", (), args.limit_cases)
    _check_classes(bundle.manifest, jobs)
    samples = _samples(args, bundle.manifest, jobs)
    found = calibrate(samples, budget, bundle.manifest.routing)
    print(*lines(found), sep="\n")
    if args.out:
        _save_grid(found, args.out)
    if not args.dry_run:
        _write(bundle, found, samples, args)
        if not args.out:
            _save_grid(found, args.bundle)
    if args.per_expert:
        told = {
            setting.kind: compare(samples, setting, allowed)
            for setting in found.chosen
            if (allowed := budget[setting.kind]) is not None
        }
        print(*comparison_lines(told), sep="\n")


def calibrate(samples: Sequence[Sample], budget: Budget, routing: Routing) -> Calibration:
    """Choose every threshold; those without a budget are those of ``routing``.

    Raises
    ------
    DataSetInvalid
        There are no samples of own classes, or none of others.
    """
    found = benches(samples)
    if not found:
        raise DataSetInvalid("no expert is for any of these scans: there is nothing to calibrate")
    grids = [grid(bench) for bench in found]
    chosen = [
        _chosen(bench, settings, budget[bench.kind], routing)
        for bench, settings in zip(found, grids, strict=True)
    ]
    answers = answered(found, chosen)
    return Calibration(
        budget, found, grids, chosen, agreement_limit(answers), distance_limit(answers)
    )


def _chosen(
    bench: Bench, settings: Sequence[Setting], budget: float | None, routing: Routing
) -> Setting:
    kind = bench.kind
    if budget is None:
        own = {name: slacks[kind] for name, slacks in routing.own_slack.items() if kind in slacks}
        return bench.measure(routing.tau[kind], routing.slack[kind], own)
    return fit_each(bench, settings, budget) if kind in EACH else choose(settings, budget)


def _share(text: str) -> tuple[str, float | None]:
    """``[KIND=]DICE`` or ``[KIND=]keep``."""
    kind, _, value = text.rpartition("=")
    if kind and kind not in PROMPT_KINDS:
        raise argparse.ArgumentTypeError(f"{kind} is none of {', '.join(PROMPT_KINDS)}")
    if value == "keep":
        return kind, None
    try:
        budget = float(value)
    except ValueError:
        budget = -1.0
    if not 0 <= budget <= 1:
        raise argparse.ArgumentTypeError(f"{value!r} is no share of Dice, 0 to 1, nor keep")
    return kind, budget


def _budget(shares: Sequence[tuple[str, float | None]]) -> Budget:
    """The last one said of a kind counts."""
    said = dict(shares)
    return {kind: said.get(kind, said.get("", BUDGET)) for kind in PROMPT_KINDS}


def _check_classes(manifest: Manifest, jobs: Sequence[Job]) -> None:
    """Refuse what names alone show to lack own or general classes, before minutes of sampling."""
    groups = set()
    for job in jobs:
        said = job.case.modality
        # Where the data set does not say it, it is guessed from the scan, which is not read here.
        possible = tuple(Modality) if said is Modality.UNKNOWN else (said,)
        for name in job.case.labels:
            groups |= {bool(expert_of(manifest, name, modality)) for modality in possible}
    names = ", ".join(sorted({name for job in jobs for name in job.case.labels}))
    if groups == {True}:
        raise DataSetInvalid(
            f"every class of the calibration patients belongs to an expert ({names}): give data"
            " sets with general classes, too"
        )
    if groups == {False}:
        raise DataSetInvalid(
            f"no class of the calibration patients belongs to an expert ({names}): give data sets"
            " with own classes of the experts, too"
        )


def _samples(args: argparse.Namespace, manifest: Manifest, jobs: Sequence[Job]) -> list[Sample]:
    work = partial(sample_case, seed=args.seed, users=args.users, one_window=args.one_window)
    folders = {NAME: args.bundle}
    done = {
        (job.case.dataset, job.case.name): samples
        for job, samples in over_cases(folders, jobs, work, processes=args.jobs)
    }
    # In the data sets' order, not in that in which processes were done.
    samples = [sample for job in jobs for sample in done[job.case.dataset, job.case.name]]
    general = ((s.dataset, s.patient, s.structure) for s in samples if not s.expert)
    tell_of_namesakes(manifest, (job.case for job in jobs), general)
    return samples


def _save_grid(found: Calibration, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    print(write_curve(found, folder))
    if picture := draw_curve(found, folder):
        print(picture)


def _write(
    bundle: Bundle, found: Calibration, samples: Sequence[Sample], args: argparse.Namespace
) -> None:
    """Put the thresholds into the bundle, if its folder still holds it.

    Raises
    ------
    Conflict
        Another bundle was published there since this one was read, or is just now.
    """
    manifest = bundle.manifest
    about: dict[str, JsonValue] = {
        "budget": {kind: found.budget[kind] for kind in PROMPT_KINDS},
        "users": args.users,
        "seed": args.seed,
        "patients": len({sample.patient for sample in samples}),
        "data": list[JsonValue](sorted({sample.dataset for sample in samples})),
        "own": {setting.kind: round(setting.own, 4) for setting in found.chosen},
        "general_lost": {setting.kind: round(setting.loss, 4) for setting in found.chosen},
    }
    details = manifest.provenance.details | {"calibration": about}
    changes: dict[str, Any] = {
        "routing": found.routing(manifest.routing),
        "provenance": manifest.provenance.model_copy(update={"details": details}),
    }
    changed = manifest.model_copy(update=changes)
    try:
        assemble(bundle, changed, {}, out=bundle.path, replace=True)
    except Conflict as error:
        grid = f" The grid is in {args.out}." if args.out else ""
        raise Conflict(f"{error} The thresholds above are not in it.{grid}") from error
