from pathlib import Path

import pytest
from pydantic import ValidationError

from sammoe.bundle import Manifest, WindowSettings
from sammoe.volume.window import WindowRule
from tests.unit.bundle.bundles import EXPERT, MODEL, WINDOW, write_bundle


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


def test_experts_may_have_slacks_of_their_own(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path, (EXPERT,))
    assert "own_slack" not in manifest.routing.model_dump()
    said = manifest.model_dump()
    said["routing"]["own_slack"] = {EXPERT.name: {"clicks": 0.3, "click": None}}
    routing = Manifest.model_validate_json(Manifest.model_validate(said).model_dump_json()).routing
    assert routing.own_slack == {EXPERT.name: {"clicks": 0.3, "click": None}}
    assert routing.of_experts([EXPERT.name]) == routing
    assert routing.of_experts(["other"]) == manifest.routing
    said["routing"]["own_slack"] = {"stranger": {"clicks": 0.3}}
    with pytest.raises(ValidationError, match="a slack to stranger: no such expert"):
        Manifest.model_validate(said)


def test_sizes_follow_from_grid_and_width() -> None:
    assert MODEL.cells == 8
    assert MODEL.gate_features == 80  # five tokens, where a manifest does not say how many
    now = MODEL.model_copy(update={"gate_tokens": 12})
    assert now.gate_features == 192
    assert now.model_dump()["gate_tokens"] == 12
    assert "gate_tokens" not in MODEL.model_dump()
