import shutil
from pathlib import Path

import pytest

from sammoe.cli import main
from tests.unit.store.test_upkeep_of_stores import OLD, cut


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD, tmp_path / "state"))


def test_there_and_back(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = ["--state", str(state)]
    assert main(["store", "check", *here]) == 0
    assert capsys.readouterr().out == "5 record(s), 0 not well\n"
    assert main(["store", "migrate", *here]) == 0
    assert capsys.readouterr().out.startswith("1 record(s) written in the form of this version")
    copy = str(tmp_path / "copy")
    assert main(["store", "backup", "--to", copy, *here]) == 0
    said = "1 volume(s), 2 segmentation(s), 1 result(s) and 1 kept answer(s) copied, 0 not well\n"
    assert capsys.readouterr().out == said
    shutil.rmtree(state)
    assert main(["store", "restore", "--from", copy, *here]) == 0
    assert capsys.readouterr().out == said
    assert main(["store", "check", *here]) == 0


def test_what_is_not_well_is_named_and_put_aside(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ["--state", str(state)]
    for path in state.rglob("*.seg"):
        cut(path)
    assert main(["store", "check", *here]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].endswith(
        ".seg: damaged: A stored record is damaged: restore the store from a backup."
    )
    assert lines[-1] == "5 record(s), 2 not well"
    assert main(["store", "migrate", *here]) == 1
    assert main(["store", "check", "--quarantine", *here]) == 1
    assert "(put aside)" in capsys.readouterr().out
    # The result that held one of them is not well either.
    assert main(["store", "check", "--quarantine", *here]) == 1
    assert main(["store", "check", *here]) == 0


def test_a_copy_may_leave_out_what_is_not_well(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (result,) = state.rglob("results/*.json")
    cut(result)
    copy = str(tmp_path / "copy")
    done = main(["store", "backup", "--to", copy, "--state", str(state), "--skip-damaged"])
    assert done == 1
    assert "(left out)" in capsys.readouterr().out
    assert main(["store", "check", "--state", copy]) == 0


def test_what_can_not_be_done_is_one_line(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        ["restore", "--from", str(tmp_path / "nowhere")],
        ["restore", "--from", str(shutil.copytree(OLD, tmp_path / "copy"))],
        ["backup", "--to", "ftp://somewhere"],
    ):
        assert main(["store", *words, "--state", str(state)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
