"""``tables.md``, a CSV for each table, and the plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sammoe.errors import DataSetInvalid
from sammoe.training.evaluation.rows import Row, read_rows
from sammoe.training.evaluation.tables import mixtures, paper, published, warnings
from sammoe.training.evaluation.tables.answers import Answers
from sammoe.training.evaluation.tables.goals import table_goals
from sammoe.training.evaluation.tables.plots import write_plots
from sammoe.training.evaluation.tables.table import Table

ABOUT = "about.json"


class About(BaseModel):
    """What was evaluated: kept beside the rows, so that they are never mixed with others.

    ``bundles``: mixture's name -> the bundle's name and digest. ``seen``: general classes whose
    labels the gate learnt from. ``data``: names of the data sets; ``classes``: that were asked for,
    none for all; ``limit``: cases of each data set, at most. ``windows``: whether masks were
    followed, which older evaluations did not. ``heads``: whether scores were pooled over a
    segmentation's clicks, which is newer, too. The rest as in `Options`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    part: Literal["train", "calibrate", "test"]
    bundles: dict[str, str]
    clicks: int
    user: Literal["random", "careful"]
    crop: bool
    seed: int
    users: int = 1
    downstream: str | None
    seen: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    limit: int | None = None
    windows: Literal["one", "followed"] = "one"
    heads: Literal["forget", "remember"] = "forget"

    def write(self, folder: Path) -> None:
        """Keep it in ``folder``.

        Raises
        ------
        DataSetInvalid
            The folder holds answers to other questions.
        """
        path = folder / ABOUT
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            known = read_about(folder)
            # Older files do not say everything.
            said = {*known.model_fields_set, "windows", "users", "heads"}
            other = sorted(n for n in said if getattr(known, n) != getattr(self, n))
            if other:
                raise DataSetInvalid(
                    f"{folder} holds an evaluation with other settings (see {', '.join(other)} in"
                    f" {ABOUT}): give another folder"
                )
        path.write_text(self.model_dump_json(indent=1) + "\n")


def read_about(folder: Path) -> About:
    """What an evaluation's folder is about.

    Raises
    ------
    DataSetInvalid
        It holds no evaluation.
    """
    path = folder / ABOUT
    try:
        return About.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataSetInvalid(f"{folder} holds no evaluation: {path} can not be read") from error
    except ValidationError as error:
        raise DataSetInvalid(f"{path} is damaged: {error.errors()[0]['msg']}") from error


def write_tables(folder: Path) -> Path:
    """Make all tables of an evaluation from its ``rows.csv``; returns ``tables.md``.

    Raises
    ------
    DataSetInvalid
        The folder holds no evaluation, or one without answers.
    """
    about, rows = read_about(folder), read_rows(folder / "rows.csv")
    if not rows:
        raise DataSetInvalid(f"{folder} holds no answers yet")
    answers = Answers(rows, about.downstream, about.seen)
    tables = [
        table_goals(answers),
        paper.table_1(answers),
        paper.table_1(answers, "nsd"),
        *(paper.table_2(answers, mixture) for mixture in answers.mixtures),
        mixtures.table_gain(answers),
        mixtures.table_loss(answers),
        mixtures.table_routing(answers),
        mixtures.table_two(answers),
        mixtures.table_clicks(answers),
        warnings.table_doubt(answers),
        paper.table_classes(answers),
    ]
    if about.crop:
        tables.append(published.table_crop(answers))
    return _write(folder, about, rows, tables, list(write_plots(answers, folder)))


def _write(
    folder: Path, about: About, rows: Sequence[Row], tables: Sequence[Table], plots: Sequence[Path]
) -> Path:
    for table in tables:
        (folder / f"{table.name}.csv").write_text(table.csv())
    parts = [_heading(about, rows), *(table.markdown() for table in tables)]
    parts += [f"![{path.stem}]({path.name})\n" for path in plots]
    path = folder / "tables.md"
    path.write_text("\n".join(parts))
    return path


def _heading(about: About, rows: Sequence[Row]) -> str:
    lines = ["# Evaluation", ""]
    if about.part != "test":
        lines += [
            f"**These are patients of the part `{about.part}`, not of `test`: no result.**",
            "",
        ]
    lines += [f"* {name}: bundle {bundle}" for name, bundle in about.bundles.items()]
    targets = {(row.dataset, row.case, row.structure) for row in rows}
    patients, cases = {row.patient for row in rows}, {target[:2] for target in targets}
    lines += [
        f"* {len(patients)} patients, {len(cases)} scans, {len(targets)} targets, of:"
        f" {', '.join(sorted({row.dataset for row in rows}))}",
        *([f"* only the classes {', '.join(about.classes)}"] if about.classes else []),
        *([f"* at most {about.limit} scans of each data set"] if about.limit else []),
        f"* {_users(about)}",
        "",
        "Means over classes of the classes' means; in brackets 95 % intervals, by 1000 bootstrap"
        " resamples of the patients.",
        "",
    ]
    return "\n".join(lines)


def _users(about: About) -> str:
    if about.users == 1:
        return f"a {about.user} user, {about.clicks} clicks, seed {about.seed}"
    last = about.seed + about.users - 1
    return f"{about.users} {about.user} users, {about.clicks} clicks, seeds {about.seed} to {last}"
