import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import environment
from scripts.environment import ENVIRONMENTS, Environment, SetupError, made_from


def test_an_environment_is_made_anew_when_its_lock_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\n[project]\nname = 'x'\n[tool.setuptools]\n"
    )
    lock = tmp_path / "some.lock"
    lock.write_text("a==1\n")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    one = Environment(".venv", "some.lock")
    before = made_from(one)

    assert made_from(one) == before
    assert made_from(replace(one, torch=True)) != before
    lock.write_text("a==2\n")
    assert made_from(one) != before


def test_what_is_made_already_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = environment.ROOT / ENVIRONMENTS["demo"].lock
    one = Environment(str(tmp_path), str(lock))
    (tmp_path / "made-from.sha256").write_text(made_from(one))
    monkeypatch.setattr(environment, "create", lambda folder: pytest.fail("it was made"))

    environment.make(one)


def test_a_failure_of_pip_is_one_line_after_its_last_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SetupError, match=r"^pip install failed .*: a package$"):
        environment.pip(Path(sys.executable), ["install", "--no-such-option"], "a package", 1)

    assert "no such option" in capsys.readouterr().err


def test_too_old_a_python_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "OLDEST_PYTHON", (99, 0))

    with pytest.raises(SetupError, match="too old"):
        environment.make(ENVIRONMENTS["demo"])


def test_a_debian_package_that_can_not_be_had_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    environment.provide("some-package", tmp_path)
    assert capsys.readouterr().err == ""
    environment.provide("some-package", tmp_path / "absent")
    assert "missing: some-package (apt-get install some-package)" in capsys.readouterr().err


def test_no_service_is_started_by_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(environment, "_SERVICE_POLICY", policy)

    with environment.no_services():
        assert subprocess.run([policy]).returncode == 101
    assert not policy.exists()
    policy.write_text("the machine's own")
    with environment.no_services():
        assert policy.read_text() == "the machine's own"
    assert policy.exists()


def test_only_a_whole_environment_of_this_python_is_kept(tmp_path: Path) -> None:
    assert environment.runs_this_version(Path(sys.executable))
    assert not environment.runs_this_version(tmp_path / "bin" / "python")


@pytest.mark.parametrize("arguments", [[], ["production"], ["test", "demo"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert environment.main(arguments) == 2
    names = "test|demo|ohif|triton|monailabel|checkov|tensorrt"
    assert capsys.readouterr().err == f"usage: environment.py {names}\n"


@pytest.mark.parametrize(
    ("system", "version", "reason"),
    [("Darwin", (3, 12), "Linux on x86_64 alone"), ("Linux", (3, 13), "numpy < 2 is not there")],
)
def test_what_a_machine_can_not_have_is_said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    system: str,
    version: tuple[int, int],
    reason: str,
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.version_info", (*version, 0, "final", 0))

    with pytest.raises(SetupError, match=reason):
        environment.make(ENVIRONMENTS["triton"])
    environment.make_beside("triton")
    assert "missing: .venv-triton" in capsys.readouterr().err


def test_make_lists_its_targets() -> None:
    command = ["make", "--no-print-directory", "--directory", str(environment.ROOT)]

    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    names = [line.split()[1] for line in listed.splitlines()]
    assert names == [
        "help",
        "demo",
        "viewer",
        "ohif",
        "triton",
        "secrets",
        "test",
        "fuzz",
        "reliability",
        "check",
        "check-tensorrt",
        "check-kubernetes",
        "load",
        "soak",
        "ratios",
        "sbom",
        "soup",
        "audit",
        "bench-gpu",
        "lock",
    ]
