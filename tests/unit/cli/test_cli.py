import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from sammoe import __version__
from sammoe.cli import COMMANDS, FAILED, INTERRUPTED, build_parser, describe, join_numbers, main
from sammoe.errors import PointOutside


def outcome(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command line."""
    try:
        code = main(words)
    except SystemExit as left:
        code = int(left.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys, "--help")
    assert (code, err) == (0, "")
    for name, command in COMMANDS.items():
        assert name in out
        assert command.help in out
    assert "not a medical device" in " ".join(out.split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(capsys, "--version") == (0, f"sammoe {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "COMMAND"),
        (("fly",), "'fly'"),
        (("bundle",), "ACTION"),
        (("bundle", "show", "/nowhere"), "/nowhere/bundle.json can not be read"),
        (("segment", "a.nii"), "--out"),
        (("segment", "a.nii", "--out", "m.png"), ".nii.gz or .nrrd"),
        (("segment", "a.nii", "--out", "m.nrrd", "--point", "1,2"), "--point"),
        (("segment", "a.nii", "--out", "m.nrrd", "--point", "1,2,nan"), "--point"),
        (("segment", "a.nii", "--out", "m.nrrd", "--box", "1,2,3"), "--box"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    code, out, err = outcome(capsys, *words)
    assert (code, out) == (FAILED, "")
    assert err.startswith("sammoe")
    assert err.count("\n") == 1
    assert says in err


def test_debug_shows_where_an_error_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = outcome(capsys, "bundle", "show", "/nowhere", "--debug")
    assert code == FAILED
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("sammoe bundle: ")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PointOutside("This place\nis outside."), "This place is outside."),
        (FileNotFoundError(2, "No such file", "scan.nii"), "scan.nii: No such file"),
        (OSError(28, "No space left"), "No space left"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            "needs torch: pip install 'sam-med3d-moe[train]'",
        ),
        (ValueError("odd"), "unexpected ValueError: odd (--debug shows where)"),
        (OSError("odd"), "unexpected OSError: odd (--debug shows where)"),
    ],
)
def test_every_error_is_described_in_a_line(error: Exception, line: str) -> None:
    assert describe(error) == line


def test_negative_numbers_are_no_flags() -> None:
    words = ["--point", "-1,2.5,-3e1", "--tau", ".5", "-3", "--out", "a", "--box", "-.5,1"]
    assert join_numbers(words) == [
        "--point=-1,2.5,-3e1",
        *("--tau", ".5", "-3"),
        *("--out", "a"),
        "--box=-.5,1",
    ]


@pytest.mark.parametrize(
    ("raised", "code"), [(KeyboardInterrupt(), INTERRUPTED), (ValueError("odd"), FAILED)]
)
def test_what_a_command_raises_becomes_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    code: int,
) -> None:
    def run(args: argparse.Namespace) -> int:
        raise raised

    monkeypatch.setattr("sammoe.cli.bundle.run", run)
    assert outcome(capsys, "bundle", "show")[0] == code


@pytest.mark.parametrize("answer", [None, 0, 3])
def test_a_command_may_have_nothing_to_tell(
    monkeypatch: pytest.MonkeyPatch, answer: int | None
) -> None:
    monkeypatch.setattr("sammoe.cli.bundle.run", lambda args: answer)
    assert main(["bundle", "show"]) == (answer or 0)


def test_a_reader_that_has_seen_enough_is_no_fault(bundle: Path) -> None:
    command = f"{sys.executable} -m sammoe bundle show {bundle} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, timeout=120
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], name: str) -> None:
    if name in {"import", "export", "train"}:
        pytest.importorskip("torch", reason="these commands need the training install")
    assert isinstance(build_parser(name), argparse.ArgumentParser)
    code, out, err = outcome(capsys, name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: sammoe {name} ")


def test_only_the_asked_for_command_is_imported(bundle: Path) -> None:
    program = (
        "import sys; from sammoe.cli import main; assert main(sys.argv[1:]) == 0;"
        "print(sorted({'torch', 'fastapi', 'onnxruntime'} & sys.modules.keys()))"
    )
    words = [sys.executable, "-c", program, "bundle", "show", str(bundle)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "[]"
