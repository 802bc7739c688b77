import sys
import time

import pytest

from sammoe.cli.progress import steps


def test_what_is_quick_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with steps(2) as progress:
        progress.begin("one")
        progress.begin("two")
    assert capsys.readouterr() == ("", "")


def test_what_takes_longer_shows_its_step_and_cleans_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with steps(2, patience=0.01) as progress:
        progress.begin("reading")
        progress.begin("thinking")
        time.sleep(0.3)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "thinking" in shown.err
    assert "step 1 of 2 done" in shown.err
    assert shown.err.endswith("\r")
    assert shown.err.split("\r")[-2].strip() == ""


def test_nothing_is_drawn_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with steps(2, patience=0.01) as progress:
        progress.begin("reading")
        time.sleep(0.1)
    assert capsys.readouterr() == ("", "")


def test_an_error_passes_through(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="odd"), steps(1):
        raise ValueError("odd")
    assert capsys.readouterr() == ("", "")
