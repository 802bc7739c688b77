import pytest

from sammoe.bundle import WindowSettings
from sammoe.errors import CheckpointInvalid
from sammoe.export import Release, official_windows
from tests.unit.export.tiny import RELEASE


def test_a_release_travels_in_a_checkpoint() -> None:
    assert Release.from_metadata(RELEASE.to_metadata()) == RELEASE


def test_a_checkpoint_without_a_release_says_what_to_do() -> None:
    with pytest.raises(CheckpointInvalid, match="use sammoe import"):
        Release.from_metadata({"format": "pt"})


def test_a_malformed_release_is_refused() -> None:
    with pytest.raises(CheckpointInvalid, match="malformed"):
        Release.from_metadata({"release": '{"name": ""}'})


def test_official_windows_are_those_of_the_published_preparation() -> None:
    window = official_windows()

    assert (window.side, window.patch, window.spacings) == (128, 16, (1.5,))
    assert window.ct_clamp == (-1000.0, 1000.0)
    assert WindowSettings.from_rule(window.rule()) == window
