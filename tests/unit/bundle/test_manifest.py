from pathlib import Path

from sammoe.bundle import WindowSettings
from sammoe.volume.window import WindowRule
from tests.unit.bundle.bundles import MODEL, WINDOW, write_bundle


def test_the_window_rule_carries_every_setting(tmp_path: Path) -> None:
    rule = write_bundle(tmp_path).window_rule()

    assert rule == WindowRule(
        side=16,
        patch=8,
        spacings=(1.5, 3.0),
        default_spacing={"CT": 3.0, "MR": 1.5, "unknown": 1.5},
        snap_mm=None,
        normalisation="window",
        ct_clamp=(-1000.0, 1000.0),
        antialias=True,
        version=1,
    )


def test_settings_and_rule_are_two_forms_of_one_thing() -> None:
    assert WindowSettings.from_rule(WINDOW.rule()) == WINDOW


def test_sizes_follow_from_grid_and_width() -> None:
    assert MODEL.cells == 8
    assert MODEL.gate_features == 80  # five tokens, where a manifest does not say how many
    now = MODEL.model_copy(update={"gate_tokens": 12})
    assert now.gate_features == 192
    assert now.model_dump()["gate_tokens"] == 12
    assert "gate_tokens" not in MODEL.model_dump()
