"""OHIF from npm: what is pinned, or nothing; and the extension as it is now."""

import io
import tarfile
from pathlib import Path

import pytest

from scripts import ohif


def package(path: Path, **files: str) -> Path:
    """A package of npm's with files in it."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def test_the_build_alone_is_unpacked(tmp_path: Path) -> None:
    files = {"package/dist/index.html": "page", "package/dist/a/b.js": "b", "package/README": "no"}
    found = package(tmp_path / "app.tgz", **files)
    ohif._unpack(found, tmp_path / "site")
    there = {str(p.relative_to(tmp_path / "site")) for p in (tmp_path / "site").rglob("*.*")}
    assert there == {"index.html", "a/b.js"}


def test_files_that_would_lie_elsewhere_are_refused(tmp_path: Path) -> None:
    found = package(tmp_path / "app.tgz", **{"package/dist/../../out.js": "x"})
    with pytest.raises(tarfile.TarError):
        ohif._unpack(found, tmp_path / "site")
    assert not (tmp_path / "out.js").exists()
    assert not (tmp_path / "site").exists()


def test_another_file_than_the_pinned_one_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    npm = tmp_path / "npm"
    npm.write_text('#!/bin/sh\nfor last; do :; done; echo other > "$last/app.tgz"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(ohif, "FOLDER", tmp_path / "site")
    with pytest.raises(ohif.OhifError, match="another file than the pinned"):
        ohif.provide(tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_the_extension_replaces_an_earlier_one_and_configures_ohif(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "sammoe").mkdir(parents=True)
    (site / "sammoe" / "old.js").write_text("old")
    (site / "app-config.js").write_text("stock")
    ohif.install(site)
    assert (site / "sammoe" / "index.js").is_file()
    assert not (site / "sammoe" / "old.js").exists()
    assert not (site / "sammoe" / "test").exists()
    assert "/sammoe/index.js" in (site / "app-config.js").read_text()
