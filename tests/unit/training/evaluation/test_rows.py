import math
from dataclasses import replace
from pathlib import Path

import pytest

from sammoe.errors import DataSetInvalid
from sammoe.training.evaluation.rows import Row, RowFile, read_rows

ROW = Row("set", "a", "p", "liver, left", "general", "", "ours", "box", 0, 0.5, s_top=0.25)


def same(one: Row, other: Row) -> bool:
    """Equality by which NaN equals NaN."""
    return repr(one) == repr(other)


def test_rows_are_kept_as_they_are(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "new")
    rows = [ROW, replace(ROW, dice=1 / 3, nsd=1.0, warnings="a;b", clicks=6)]
    file.add("set", "a", rows)
    found = read_rows(tmp_path / "new" / "rows.csv")
    assert same(found[0], ROW)
    assert found[1].dice == pytest.approx(1 / 3, abs=1e-6)
    assert math.isnan(found[0].nsd)
    assert (found[1].nsd, found[1].warnings, found[1].clicks) == (1.0, "a;b", 6)
    header = (tmp_path / "new" / "rows.csv").read_text().splitlines()[0]
    assert header.startswith("dataset,case,patient,class,group,expert,system,prompt,clicks,dice")


def test_a_killed_run_goes_on_with_whole_cases(tmp_path: Path) -> None:
    file = RowFile(tmp_path)
    file.add("set", "a", [ROW])
    with (tmp_path / "rows.csv").open("a") as stream:  # killed while it wrote the second case
        stream.write("set,b,p,liver,general,,ours,box,0,0.5" + "," * 12 + "\nset,b,p,li")
    again = RowFile(tmp_path)
    assert again.holds("set", "a")
    assert not again.holds("set", "b")
    again.add("set", "b", [replace(ROW, case="b")])
    assert [row.case for row in read_rows(tmp_path / "rows.csv")] == ["a", "b"]
    assert again.holds("set", "b")


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n",
        "",
        "HEADER\nset,a,p,x,own,,ours,box,none,0.5" + "," * 12 + "\n",
        "HEADER\na\n",
        "HEADER,dice\n",
    ],
)
def test_other_tables_are_refused(tmp_path: Path, text: str) -> None:
    RowFile(tmp_path)
    header = (tmp_path / "rows.csv").read_text().strip()
    (tmp_path / "rows.csv").write_text(text.replace("HEADER", header))
    with pytest.raises(DataSetInvalid, match=r"rows\.csv"):
        read_rows(tmp_path / "rows.csv")


def test_rows_of_earlier_versions_are_read_and_not_gone_on_with(tmp_path: Path) -> None:
    file = RowFile(tmp_path)
    file.add("set", "a", [replace(ROW, structure="x", dice_expert=0.75, dice_crop=0.25)])
    path = tmp_path / "rows.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    place = lines[0].index("dice_rival")
    path.write_text("".join(",".join(c[:place] + c[place + 1 :]) + "\n" for c in lines))
    [row] = read_rows(path)
    assert (row.dice_expert, row.dice_crop, row.structure) == (0.75, 0.25, "x")
    assert math.isnan(row.dice_rival)
    before = path.read_text()
    with pytest.raises(DataSetInvalid, match=r"dice_rival.*another --out"):
        RowFile(tmp_path)
    assert path.read_text() == before
