import shutil
from pathlib import Path

import pytest

from scripts import viewer


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of two files, and where it would be built."""
    folder = tmp_path / "viewer"
    folder.mkdir()
    (folder / "package-lock.json").write_text("{}")
    (folder / "main.ts").write_text("first")
    monkeypatch.setattr(viewer, "ROOT", tmp_path)
    monkeypatch.setattr(viewer, "SOURCES", folder)
    monkeypatch.setattr(viewer, "BUILT", tmp_path / "dist")
    monkeypatch.setattr(viewer, "_STAMP", tmp_path / "dist.made-from")
    monkeypatch.setattr(viewer, "_INSTALLED", folder / "node_modules" / ".made-from")
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, sources: Path) -> list[str]:
    """What npm is asked to do; it does nothing but making its folders."""
    done: list[str] = []

    def npm(folder: Path, *arguments: str) -> None:
        done.append(" ".join(arguments[:2]))
        (sources / "node_modules").mkdir(exist_ok=True)
        viewer.BUILT.mkdir(exist_ok=True)

    monkeypatch.setattr(viewer, "npm", npm)
    monkeypatch.setattr(viewer, "node_folder", lambda: Path("bin"))
    return done


def test_the_page_is_built_once_and_again_when_a_source_changes(
    sources: Path, asked: list[str]
) -> None:
    assert viewer.main(["build"]) == 0
    assert viewer.main(["build"]) == 0
    assert asked == ["ci --no-audit", "run build"]
    (sources / "main.ts").write_text("second")
    assert viewer.main(["build"]) == 0
    assert asked[2:] == ["run build"]


def test_packages_are_installed_again_when_the_lock_changes(
    sources: Path, asked: list[str]
) -> None:
    viewer.main(["test"])
    (sources / "package-lock.json").write_text('{"packages": {}}')
    viewer.main(["test"])
    assert asked == ["ci --no-audit", "run check", "run test"] * 2


def test_without_node_it_says_what_to_do(
    sources: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert viewer.main(["build"]) == 2
    assert "make environment" in capsys.readouterr().err
    assert viewer.main(["try"]) == 0, "the demo goes on without the page"


def test_a_node_that_is_too_old_counts_for_none(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version in (("old", "v20.20.2"), ("new", "v24.1.0")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "npm").touch()
        (folder / "node").write_text(f"#!/bin/sh\necho {version}\n")
        (folder / "node").chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / "old" / name))
    with pytest.raises(viewer.BuildError, match=r"22\.18"):
        viewer.node_folder()
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / "new" / name))
    assert viewer.node_folder() == tmp_path / "new"


def test_the_node_that_the_demo_brings_is_found(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    folder = tmp_path / ".venv-demo" / "bin"
    folder.mkdir(parents=True)
    (folder / "npm").touch()
    (folder / "node").write_text("#!/bin/sh\necho v24.19.0\n")
    (folder / "node").chmod(0o755)
    assert viewer.node_folder() == folder


def test_what_npm_says_is_shown_when_it_fails(
    sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "npm").write_text("#!/bin/sh\necho no such package\nexit 1\n")
    (tmp_path / "npm").chmod(0o755)
    with pytest.raises(viewer.BuildError, match="npm ci failed"):
        viewer.npm(tmp_path, "ci")
    assert "no such package" in capsys.readouterr().err


def test_an_unknown_task_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert viewer.main(["destroy"]) == 2
    assert "usage" in capsys.readouterr().err
