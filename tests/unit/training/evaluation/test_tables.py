import csv
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sammoe.errors import DataSetInvalid
from sammoe.training.evaluation.rows import Row, RowFile
from sammoe.training.evaluation.tables import About, write_tables
from sammoe.training.evaluation.tables.answers import BOX, CLICK, JITTER, Answers, Asked
from sammoe.training.evaluation.tables.goals import table_goals
from sammoe.training.evaluation.tables.mixtures import (
    best_of_two,
    gain_kept,
    general_loss,
    table_loss,
    table_routing,
    table_two,
    top_right,
)
from sammoe.training.evaluation.tables.paper import table_1, table_2, table_classes
from sammoe.training.evaluation.tables.published import table_crop
from sammoe.training.evaluation.tables.statistics import Bootstrap, Figure, figure
from sammoe.training.evaluation.tables.table import Table
from sammoe.training.evaluation.tables.warnings import table_doubt

ABOUT = About(
    part="test",
    bundles={"ours": "demo 0123456789ab"},
    clicks=3,
    user="random",
    crop=True,
    seed=0,
    downstream="cord",
    seen=("liver",),
)
SYSTEMS = ("baseline", "ft_expert", "ours")
LOOP = tuple(("loop", number) for number in (1, 2, 3))
PROMPTS = (("box", 0), ("jitter", 0), ("loose", 0), ("at_once", 3), *LOOP)
OWN = {"cord": "cord", "vein": "vessel"}
GENERAL = ("liver", "spleen")


def dice(system: str, structure: str) -> float:
    """Experts gain .4 on their own, of which the mixture keeps .3; it loses .02 elsewhere."""
    if structure in OWN:
        return {"baseline": 0.3, "ft_expert": 0.7, "ours": 0.6}[system.split(":")[0]]
    return {"baseline": 0.8, "ft_expert": 0.2, "ours": 0.78}[system.split(":")[0]]


def story() -> list[Row]:
    """Rows of four patients, with differences between patients that average out."""
    rows = []
    for number in range(4):
        for structure in (*OWN, *GENERAL):
            expert = OWN.get(structure, "")
            for system in (*SYSTEMS, "ours: tau 0.5"):
                for prompt, clicks in PROMPTS:
                    off = 0.1 * (-1) ** number
                    row = Row(
                        dataset="set",
                        case=f"case{number}",
                        patient=f"p{number}",
                        structure=structure,
                        group="own" if expert else "general",
                        expert=expert,
                        system=system,
                        prompt=prompt,
                        clicks=clicks,
                        dice=dice(system, structure) + off,
                        nsd=0.5,
                        used=expert or "general",
                        top="cord",
                        warnings="a;b" if number == 0 else "",
                        dice_general=dice("baseline", structure),
                        dice_expert=dice("ft_expert", structure),
                        dice_crop=0.1 * clicks if number else 0.9 - 0.1 * clicks,
                    )
                    if system == "ft_expert" and not expert:
                        rows += [replace(row, used=name) for name in OWN.values()]
                    else:
                        rows.append(row)
    return rows


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers(story(), "cord", ("liver",))


def cell(table: Table, row: str, column: str) -> float:
    (line,) = (line for line in table.rows if row in (line[0], f"{line[0]}, {line[1]}"))
    found = line[table.columns.index(column)]
    assert isinstance(found, Figure)
    return found.value


def test_means_are_over_classes_and_patients_are_drawn_as_a_whole() -> None:
    base = story()[0]
    rows = [
        replace(base, structure="x", patient="p", dice=0.0),
        replace(base, structure="x", patient="p", dice=0.4),
        replace(base, structure="x", patient="q", dice=1.0),
        replace(base, structure="y", patient="q", dice=0.5),
        replace(base, structure="y", patient="q", dice=math.nan),
    ]
    draws = Bootstrap(rows, repeats=400).mean(rows)
    assert draws[0] == pytest.approx((1.4 / 3 + 0.5) / 2)
    # Both p: x is .2 and y unknown. Both q: 1 and .5. One of each: as they are.
    assert {round(float(d), 4) for d in draws[1:]} == {0.2, 0.75, round(float(draws[0]), 4)}
    assert np.isnan(Bootstrap(rows).mean([])).all()
    assert np.array_equal(draws, Bootstrap(rows, repeats=400).mean(rows))
    assert not np.array_equal(draws, Bootstrap(rows, repeats=400, seed=1).mean(rows))


def test_patients_of_a_small_data_set_stay_in_every_resample() -> None:
    base = story()[0]
    large = [replace(base, dataset="large", patient=f"l{n}", dice=0.5) for n in range(30)]
    small = [replace(base, dataset="small", patient="s", dice=1.0)]
    both = [replace(base, dataset=name, patient="b", dice=0.0) for name in ("large", "small")]
    bootstrap = Bootstrap([*large, *small, *both])
    assert (bootstrap.mean(small) == 1).all()
    assert (bootstrap.mean(both) == 0).all()


def test_an_interval_holds_nineteen_of_twenty_resamples() -> None:
    draws = np.concatenate([[0.5], np.linspace(0, 1, 1001)])
    assert (figure(draws).low, figure(draws).high) == pytest.approx((0.025, 0.975))
    assert str(figure(draws)) == ".500 [.025, .975]"
    assert str(Figure(-0.25, -1.5, 0.0)) == "-.250 [-1.500, .000]"
    assert str(figure(np.full(3, np.nan))) == "–"
    assert figure(np.array([0.3, np.nan])).value == 0.3


def test_table_1(answers: Answers) -> None:
    table = table_1(answers)
    assert cell(table, "Baseline", "original tasks, box") == pytest.approx(0.8)
    assert cell(table, "FT-expert", "downstream task, 3 clicks") == pytest.approx(0.7)
    assert cell(table, "Ours (heads)", "weak classes, 3 points at once") == pytest.approx(0.6)
    assert cell(table, "Ours (heads)", "other classes, box") == pytest.approx(0.78)
    assert cell(table_1(answers, "nsd"), "Baseline", "weak classes, box") == 0.5
    alone = table_1(Answers(story()))
    assert alone.columns[1].startswith("other classes")
    assert cell(alone, "FT-expert", "weak classes, box") == pytest.approx(0.7)


def test_a_downstream_expert_is_the_one_that_forgets_original_tasks() -> None:
    rows = [
        replace(row, dice=0.1) if (row.used, row.system) == ("vessel", "ft_expert") else row
        for row in story()
    ]
    table = table_1(Answers(rows, "cord"))
    assert cell(table, "FT-expert", "original tasks, box") == pytest.approx(0.2)
    assert cell(table, "FT-expert", "other classes, box") == pytest.approx(0.1)


def test_original_tasks_are_those_of_scans_that_the_downstream_expert_is_for() -> None:
    asked = story()
    torsos = [
        replace(row, dataset="torsos", case=f"torso {row.case}", dice=0.5)
        for row in story()
        if row.group == "general" and row.used != "cord"
    ]
    before = table_1(Answers(asked, "cord"))
    after = table_1(Answers([*asked, *torsos], "cord"))
    for system in ("Baseline", "FT-expert", "Ours (heads)"):
        column = "original tasks, box"
        assert cell(after, system, column) == pytest.approx(cell(before, system, column))
    assert cell(after, "Baseline", "other classes, box") == pytest.approx((0.8 + 0.5) / 2)


def test_table_2(answers: Answers) -> None:
    table = table_2(answers, "ours")
    assert cell(table, "tau 0.5", "own classes, box") == pytest.approx(0.6)
    assert cell(table, "as served", "general classes, box") == pytest.approx(0.78)
    assert cell(table, "Upper bound (own expert)", "own classes, box") == pytest.approx(0.7)
    assert math.isnan(cell(table, "tau 0.7", "own classes, box"))


def test_what_a_mixture_keeps_and_loses(answers: Answers) -> None:
    for asked in (BOX, JITTER, CLICK, answers.loop, answers.later):
        assert gain_kept(answers, "ours", asked)[0] == pytest.approx(0.75)
        assert general_loss(answers, "ours", asked)[0] == pytest.approx(0.02)
    assert np.ptp(gain_kept(answers, "ours", BOX)) < 1e-9  # paired: patients cancel out
    assert top_right(answers, "ours", BOX)[0] == 0.5
    assert best_of_two(answers, "ours", "own", CLICK)[0] == pytest.approx(0.7)
    assert best_of_two(answers, "ours", "general", CLICK)[0] == pytest.approx(0.8)
    torn = Answers([replace(row, dice_rival=row.dice_expert + 0.1) for row in story()])
    assert best_of_two(torn, "ours", "own", CLICK)[0] == pytest.approx(0.7)
    three = cell(table_two(torn), "own classes, Ours (heads): best of three", "1 click")
    assert three == pytest.approx(0.8)
    unmeasured = cell(table_two(answers), "own classes, Ours (heads): best of three", "1 click")
    assert math.isnan(unmeasured)
    kinds = [line[1] for line in table_loss(answers).rows]
    assert kinds == ["all", "never labelled for the gate", "labelled for the gate"]
    assert [line[1] for line in table_loss(Answers(story())).rows] == kinds[:2]
    routing = table_routing(answers)
    title = "Ours (heads), general prompts: an expert used"
    assert cell(routing, title, "box") == 0
    assert cell(routing, "Ours (heads), own prompts: right expert used", "box") == 1


def test_warnings_are_weighed_against_bad_answers(answers: Answers) -> None:
    # Patients 0 and 2 are off by +.1, 1 and 3 by -.1; nothing of the mixture is below .5, so:
    rows = [replace(row, dice=0.1) if row.patient in {"p0", "p1"} else row for row in story()]
    table = table_doubt(Answers(rows))
    for code in ("a", "b"):
        assert cell(table, code, "share of answers") == 0.25
        assert cell(table, code, "precision") == 1
        assert cell(table, code, "recall") == 0.5
    assert cell(table, "(any answer)", "precision") == 0.5
    assert len(table_doubt(answers).rows) == 3


def test_the_best_click_counts_in_the_published_protocol(answers: Answers) -> None:
    table = table_crop(answers)
    assert table.columns[2:] == ("1 click", "best of 3 clicks", "best of 3 clicks", "box")
    # Patient 0 falls from .8, the three others rise to .3.
    assert cell(table, "own, Baseline", "1 click") == pytest.approx((0.8 + 3 * 0.1) / 4)
    assert cell(table, "own, Baseline", "best of 3 clicks") == pytest.approx((0.8 + 3 * 0.3) / 4)


def test_goals_have_verdicts(answers: Answers) -> None:
    lines = {str(line[0]): line for line in table_goals(answers).rows}
    assert lines["right expert on top, box"][-1] == "missed"
    assert lines["gain kept, 3 clicks"][-1] == "missed"
    assert lines["general classes: Dice lost, box"][-1] == "missed"
    assert lines["general classes: Dice lost, 1 click"][-1] == "aim"
    assert lines["classes never labelled for the gate: Dice lost, 3+ clicks"][-1] == "must"
    assert lines["best of two, 1 click: below FT-expert, weak classes"][-1] in {"aim", "must"}
    assert not any("hippocampus" in title for title in lines)


def test_goals_of_experts_that_learnt_from_people() -> None:
    names = ("hippocampus_anterior", "sarcoma_ct", "c", "d", "e")
    rows = []
    for number, name in enumerate(names):
        rows += [
            replace(row, dataset=data, structure=name, expert=name, dice=row.dice - off)
            for row in story()
            if row.structure == "cord"
            for data, off in (("hippocampus", 0.05 * number), ("sarcoma_ct", 0.05 * number))
        ]
    # In another data set the same class may do as well as it likes.
    rows += [
        replace(row, dataset="heads", dice=1.0 if row.system == "ours" else row.dice)
        for row in rows
        if (row.dataset, row.structure) == ("hippocampus", "hippocampus_anterior")
    ]
    lines = {str(line[0]): line for line in table_goals(Answers(rows)).rows}
    assert lines["hippocampus_anterior in hippocampus, box"][-1] == "missed"
    assert lines["sarcoma_ct in sarcoma_ct, box"][-1] == "missed"
    weak = lines["own classes that the Baseline segments with Dice .2 to .6, box"]
    assert isinstance(weak[1], Figure)
    assert weak[1].value == 3  # .3, .25, .2, .15, .1
    assert weak[-1] == "missed"


def test_classes_one_by_one(answers: Answers) -> None:
    table = table_classes(answers)
    assert [line[0] for line in table.rows] == ["cord", "vein", "liver", "spleen"]
    assert [line[2] for line in table.rows] == ["4"] * 4
    assert cell(table, "cord", "box, Ours (heads)") == pytest.approx(0.6)


def test_files_are_a_function_of_the_rows(tmp_path: Path) -> None:
    ABOUT.write(tmp_path)
    file = RowFile(tmp_path)
    rows = story()
    for name in sorted({row.case for row in rows}):
        file.add("set", name, [row for row in rows if row.case == name])
    path = write_tables(tmp_path)
    text = path.read_text()
    assert "no result" not in text
    assert "4 patients, 4 scans, 16 targets, of: set" in text
    assert "ours: bundle demo 0123456789ab" in text
    with (tmp_path / "gain_kept.csv").open() as stream:
        (line,) = csv.DictReader(stream)
    assert float(line["box"]) == pytest.approx(0.75)
    assert set(line) >= {"model", "box low", "box high"}
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.suffix in {".csv", ".md"}}
    write_tables(tmp_path)
    assert before == {name: (tmp_path / name).read_bytes() for name in before}
    plots = sorted(p.name for p in tmp_path.glob("*.png"))
    assert plots == [
        "classes_a_box.png",
        "classes_a_loop.png",
        "classes_b_box.png",
        "classes_b_loop.png",
        "clicks.png",
    ]


def test_other_patients_than_those_of_the_test_are_no_result(tmp_path: Path) -> None:
    about = ABOUT.model_copy(update={"part": "calibrate", "crop": False})
    about.write(tmp_path)
    RowFile(tmp_path).add("set", "case0", [row for row in story() if row.case == "case0"])
    text = write_tables(tmp_path).read_text()
    assert "part `calibrate`, not of `test`: no result" in text
    assert "own protocol" not in text


def test_folders_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(DataSetInvalid, match="holds no evaluation"):
        write_tables(tmp_path)
    ABOUT.write(tmp_path)
    ABOUT.write(tmp_path)
    with pytest.raises(DataSetInvalid, match="other settings"):
        ABOUT.model_copy(update={"seed": 1}).write(tmp_path)
    RowFile(tmp_path)
    with pytest.raises(DataSetInvalid, match="no answers yet"):
        write_tables(tmp_path)
    for other in ({"data": ("set",)}, {"classes": ("ball",)}, {"limit": 3}, {"users": 3}):
        with pytest.raises(DataSetInvalid, match=rf"see {next(iter(other))} in about.json"):
            ABOUT.model_copy(update=other).write(tmp_path)
    (tmp_path / "about.json").write_text("{}")
    with pytest.raises(DataSetInvalid, match="damaged"):
        write_tables(tmp_path)


def test_an_older_evaluation_can_be_gone_on_with(tmp_path: Path) -> None:
    older = ABOUT.model_dump_json(exclude={"data", "classes", "limit"})
    (tmp_path / "about.json").write_text(older)
    about = ABOUT.model_copy(update={"data": ("set",), "classes": ("ball",), "limit": 2})
    about.write(tmp_path)
    RowFile(tmp_path).add("set", "case0", [row for row in story() if row.case == "case0"])
    text = write_tables(tmp_path).read_text()
    assert "only the classes ball" in text
    assert "at most 2 scans" in text
    assert "a random user, 3 clicks, seed 0" in text
    about.model_copy(update={"users": 3}).write(tmp_path / "three")
    RowFile(tmp_path / "three").add("set", "case0", story())
    assert "3 random users, 3 clicks, seeds 0 to 2" in write_tables(tmp_path / "three").read_text()


def test_cells_of_markdown_and_csv() -> None:
    table = Table("t", "T", ("a", "b"), [["x|y", Figure(0.5, 0.25, 1)], ["z", "–"]], "Note.")
    assert "| x/y | .500 [.250, 1.000] |" in table.markdown()
    assert table.csv() == "a,b,b low,b high\nx|y,0.50000,0.25000,1.00000\nz,–,,\n"


def test_a_kind_of_prompt() -> None:
    row = replace(story()[0], prompt="loop", clicks=2)
    assert Asked("", "loop", (2, 3)).takes(row)
    assert not Asked("", "loop", (3, 3)).takes(row)
    assert not BOX.takes(row)


def test_without_matplotlib_there_are_tables_and_no_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ABOUT.write(tmp_path)
    RowFile(tmp_path).add("set", "case0", [row for row in story() if row.case == "case0"])
    assert "![" not in write_tables(tmp_path).read_text()
    assert not list(tmp_path.glob("*.png"))
