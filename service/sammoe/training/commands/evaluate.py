"""``sammoe evaluate``: how well bundles segment, as tables."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

from sammoe.bundle import Bundle, Manifest
from sammoe.bundle.locking import claimed
from sammoe.bundle.options import folder_option
from sammoe.errors import DataSetInvalid, ExpertUnknown, InvalidInput
from sammoe.training.arguments import not_negative_int, positive_int
from sammoe.training.datasets import Part, check_patients, load_datasets, split_patients
from sammoe.training.evaluation.namesakes import tell_of_namesakes
from sammoe.training.evaluation.rows import RowFile, read_rows
from sammoe.training.evaluation.running import Job, load_bundles, run_jobs
from sammoe.training.evaluation.tables import About, write_tables
from sammoe.training.evaluation.targets import Options

_PROTOCOL = "sam-med3d"
_LONGEST_NAME: Final = 200
"""Of a class, bytes: names of files have 255, and kind of prompt and ending are added."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.description = (
        "Every labelled structure of the test patients is segmented through the served pipeline,"
        " with boxes and with clicks of a simulated user, by the general model (Baseline), by each"
        " structure's own expert (FT-expert) and by the mixture behind each bundle's gate. Answers"
        " are in OUT/rows.csv, tables in OUT/tables.md and as CSV, plots beside them. A run that"
        " was stopped goes on where it was when started again with the same words."
    )
    parser.add_argument(
        "--bundle", type=Path, nargs="+", action="extend", default=[], metavar="DIR",
        help="bundles of one general model and the same experts, each behind a gate of another"
        " mode; the first one's general model and experts are the Baseline and the FT-expert",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, nargs="+", action="extend", default=[], metavar="DIR",
        help="data sets: nnU-Net or SAM-Med3D folders",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=folder_option, metavar="FOLDER", help="for rows, tables and plots"
    )
    parser.add_argument(
        "--tables", type=Path, metavar="FOLDER", help="only make the tables of FOLDER again"
    )
    parser.add_argument(
        "--part", choices=get_args(Part), default="test", help="of the patients (default test)"
    )
    parser.add_argument(
        "--class", dest="classes", nargs="+", action="extend", default=[], metavar="NAME",
        help="classes to segment (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--downstream", metavar="NAME", help="expert or class that is Table 1's downstream task"
    )
    parser.add_argument(
        "--seen", nargs="+", action="extend", default=[], metavar="CLASS",
        help="general classes whose labels the gate learnt from (default: none)",
    )  # fmt: skip
    parser.add_argument("--clicks", type=positive_int, default=6, help="of a user (default 6)")
    parser.add_argument(
        "--user", choices=("random", "careful"), default="random",
        help="clicks anywhere in the error (default, as SAM-Med3D does), or where it is deepest",
    )  # fmt: skip
    parser.add_argument(
        "--users", type=positive_int, default=1,
        help="how many ask about every structure, each with prompts of its own (default 1)",
    )  # fmt: skip
    parser.add_argument(
        "--one-window", action="store_true",
        help="masks stay in the first prompt's window, as in tables of old (default: followed, as"
        " served)",
    )  # fmt: skip
    parser.add_argument(
        "--protocol", choices=(_PROTOCOL,),
        help="one more table, by the measure of published SAM-Med3D numbers",
    )  # fmt: skip
    parser.add_argument(
        "--save", type=folder_option, metavar="DIR",
        help="keep every mask as NIfTI, of cases that are done already, too; a folder for this"
        " evaluation alone",
    )  # fmt: skip
    parser.add_argument("--limit-cases", type=positive_int, metavar="N", help="of each data set")
    parser.add_argument("--jobs", type=positive_int, default=2, help="processes (default 2)")
    parser.add_argument(
        "--seed", type=not_negative_int, default=0, help="of the first user (default 0)"
    )


def run(args: argparse.Namespace) -> None:
    """Evaluate, or make tables again."""
    if args.tables:
        print(write_tables(args.tables))
        return
    if not (args.bundle and args.data and args.out):
        raise InvalidInput("give --bundle, --data and --out; or --tables FOLDER")
    if args.save and args.users > 1:
        raise InvalidInput("--save keeps the masks of one user: leave --users out")
    bundles = load_bundles(args.bundle)
    manifest = next(iter(bundles.values())).manifest
    options = Options(
        clicks=args.clicks,
        user=args.user,
        downstream=_downstream(manifest, args.downstream),
        crop=args.protocol == _PROTOCOL,
        save=args.save,
        users=args.users,
        seed=args.seed,
        one_window=args.one_window,
    )
    jobs = find_jobs(args.data, args.part, args.classes, args.limit_cases)
    if args.save:
        _check_names(jobs)
    about = _about(args, bundles, options)
    with claimed(args.out):
        about.write(args.out)
        if args.save:
            # Masks that are there count as kept, so they must be of this evaluation.
            about.write(args.save)
        folders = {name: bundle.path for name, bundle in bundles.items()}
        run_jobs(folders, jobs, options, RowFile(args.out), processes=args.jobs)
        rows = read_rows(args.out / "rows.csv")
        general = ((row.dataset, row.patient, row.structure) for row in rows if not row.expert)
        tell_of_namesakes(manifest, (job.case for job in jobs), general)
        print(write_tables(args.out))


def find_jobs(
    data: Sequence[Path], part: Part, classes: Sequence[str], limit: int | None
) -> list[Job]:
    """Cases of a part, with the classes that are wanted of each.

    Raises
    ------
    DataSetInvalid
        See `load_datasets`, `split_patients` and `check_patients`; or a class is in none of the
        data sets, or there is no case.
    """
    datasets = load_datasets(data)
    splits = [split_patients(dataset) for dataset in datasets]
    check_patients(zip(datasets, splits, strict=True))
    jobs = []
    for dataset, split in zip(datasets, splits, strict=True):
        wanted = tuple(name for name in dataset.classes if not classes or name in classes)
        cases = split.cases(part) if wanted else ()
        jobs += [Job(case, wanted) for case in cases[:limit]]
    known = {name for dataset in datasets for name in dataset.classes}
    unknown = [name for name in classes if name not in known]
    if unknown:
        raise DataSetInvalid(f"no data set has the class {', '.join(unknown)}")
    if not jobs:
        raise DataSetInvalid(f"no data set has a case of the part {part}")
    return jobs


def _check_names(jobs: Sequence[Job]) -> None:
    """Refuse classes that no mask could be named after, before minutes of work."""
    for name in {name for job in jobs for name in job.classes}:
        if len(name.encode()) > _LONGEST_NAME:
            raise InvalidInput(
                f"--save: the class {name[:20]}... has a name of more than {_LONGEST_NAME} bytes,"
                " too long for files of its masks: give it a shorter one"
            )


def _downstream(manifest: Manifest, name: str | None) -> str | None:
    """The expert of that name, or of the class of that name."""
    if name is None:
        return None
    for expert in manifest.experts:
        if name == expert.name or name in expert.classes:
            return expert.name
    known = ", ".join(expert.name for expert in manifest.experts) or "none"
    raise ExpertUnknown(f"--downstream {name}: the bundle has no such expert; it has: {known}")


def _about(args: argparse.Namespace, bundles: dict[str, Bundle], options: Options) -> About:
    return About(
        part=args.part,
        bundles={
            name: f"{bundle.manifest.name} {bundle.digest[:12]}" for name, bundle in bundles.items()
        },
        clicks=options.clicks,
        user=options.user,
        crop=options.crop,
        seed=options.seed,
        users=options.users,
        downstream=options.downstream,
        seen=tuple(args.seen),
        data=tuple(sorted(root.resolve().name for root in args.data)),
        classes=tuple(sorted(set(args.classes))),
        limit=args.limit_cases,
        windows="one" if options.one_window else "followed",
        heads="remember",
    )
