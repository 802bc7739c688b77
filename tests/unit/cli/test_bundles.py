import shutil
from pathlib import Path

import pytest

import sammoe
from sammoe.cli.bundles import find_bundle
from sammoe.errors import SettingsInvalid


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation without a bundle, in an empty working folder."""
    package = tmp_path / "site" / "packages" / "sammoe"
    package.mkdir(parents=True)
    monkeypatch.setattr(sammoe, "__file__", str(package / "__init__.py"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path


def test_the_one_named_is_taken(elsewhere: Path) -> None:
    assert find_bundle(Path("anything")) == Path("anything")


@pytest.mark.parametrize(
    "place", ["work/model_repo", "site/model_repo", "site/packages/sammoe/model_repo"]
)
def test_else_the_one_at_hand(elsewhere: Path, bundle: Path, place: str) -> None:
    shutil.copytree(bundle, elsewhere / place)
    assert find_bundle(None) == elsewhere / place


def test_else_the_way_out_is_told(elsewhere: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"--bundle \(SAMMOE_BUNDLE\)"):
        find_bundle(None)
