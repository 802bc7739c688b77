"""``sammoe triton`` and ``serve --triton-url``: what stands in the way is one clear line."""

import sys
from pathlib import Path

import pytest

from sammoe.bundle import load_bundle
from sammoe.cli import FAILED, main
from tests.bundles import write_test_bundle


def test_an_upgraded_bundle_has_a_selector(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_test_bundle(tmp_path / "old", experts=("cord",))

    assert main(["bundle", "upgrade", str(tmp_path / "old"), "--out", str(tmp_path / "new")]) == 0

    assert capsys.readouterr().out.startswith(f"{tmp_path / 'new'}: balls, ")
    assert load_bundle(tmp_path / "new").manifest.selector is not None


def test_triton_without_its_environment_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert main(["triton", "--environment", str(tmp_path)]) == FAILED
    said = capsys.readouterr().err
    assert said.startswith(f"sammoe triton: there is no Triton in {tmp_path}: `make triton` makes")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("installed", "said"),
    [(True, "has no selector for Triton: add it with sammoe bundle upgrade"), (False, "[triton]")],
)
def test_serve_says_what_it_lacks_for_triton(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    installed: bool,
    said: str,
) -> None:
    write_test_bundle(tmp_path / "old")
    if not installed:
        monkeypatch.delitem(sys.modules, "sammoe.engine.triton", raising=False)
        monkeypatch.delitem(sys.modules, "sammoe.engine.triton_connection", raising=False)
        monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    flags = ["--bundle", str(tmp_path / "old"), "--state", str(tmp_path / "state"), "--port", "0"]
    assert main(["serve", *flags, "--triton-url", "127.0.0.1:1"]) == FAILED
    assert said in capsys.readouterr().err
