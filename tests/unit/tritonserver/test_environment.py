from pathlib import Path

import pytest

from sammoe.errors import SettingsInvalid
from sammoe.tritonserver import find_environment


def test_what_a_machine_can_not_have_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(SettingsInvalid, match=r"not Darwin on .*: use NVIDIA's container"):
        find_environment(None)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.version_info", (3, 13, 0, "final", 0))
    with pytest.raises(SettingsInvalid, match=r"needs numpy < 2, .*: use Python 3.11 or 3.12"):
        find_environment(None)


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def test_what_is_missing_is_said_with_what_to_do(linux: None, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"there is no Triton in .*: `make triton` makes"):
        find_environment(tmp_path)


def test_the_python_of_an_environment_is_told_from_its_folders(linux: None, tmp_path: Path) -> None:
    server = tmp_path / "lib" / "python3.12" / "site-packages" / "pytriton" / "tritonserver"
    server.mkdir(parents=True)

    found = find_environment(tmp_path)

    assert (found.python, found.server) == ("3.12", server)
