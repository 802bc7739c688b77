import re
from pathlib import Path

import pytest

from sammoe.bundle import PROMPT_KINDS, load_bundle, write_manifest
from sammoe.cli import main
from tests.bundles import write_test_bundle


def test_show_prints_what_the_bundle_holds(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "show", str(bundle)]) == 0
    out = capsys.readouterr().out
    loaded = load_bundle(bundle)
    assert loaded.digest in out
    assert "1.5 (48), 3 (96)" in out
    assert "  spleen" in out
    assert re.search(r"^boxes +native$", out, re.MULTILINE)
    assert re.search(r"^gate +heads; fuses probability$", out, re.MULTILINE)
    assert re.search(r"^tau +box 0.5, click 0.5, clicks 0.5$", out, re.MULTILINE)
    assert re.search(r"^slack +box no check, click no check", out, re.MULTILINE)


def test_show_without_experts_has_no_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_test_bundle(tmp_path, boxes=False)
    assert main(["bundle", "show", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^boxes +mapped", out, re.MULTILINE)
    assert not re.search(r"^(gate|tau|slack) ", out, re.MULTILINE)


def test_show_refuses_a_bundle_that_was_changed(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (bundle / "bundle.json").read_text().replace("balls", "bells")
    for folder in bundle.iterdir():
        (tmp_path / folder.name).symlink_to(folder)
    (tmp_path / "bundle.json").unlink()
    (tmp_path / "bundle.json").write_text(text.replace('"click": 0.5', '"click": 5.5'))
    assert main(["bundle", "show", str(tmp_path)]) == 2
    assert "tau" in capsys.readouterr().err


def test_show_names_the_classes_of_experts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_test_bundle(tmp_path, experts=["spleen", "cord"]).manifest
    spleen, cord = manifest.experts
    known = spleen.model_copy(update={"classes": ("spleen", "milt")})
    slacks = {
        "slack": dict.fromkeys(PROMPT_KINDS, 0.05),
        "own_slack": {"cord": {"clicks": 0.3, "click": None}},
    }
    routing = manifest.routing.model_copy(update=slacks)
    write_manifest(
        tmp_path, manifest.model_copy(update={"experts": (known, cord), "routing": routing})
    )
    assert main(["bundle", "show", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^  spleen +Spleen \(CT, MR\); classes spleen, milt$", out, re.MULTILINE)
    assert re.search(r"^  cord +Cord \(CT, MR\)$", out, re.MULTILINE)
    assert re.search(r"^slack +box 0.05, click 0.05, clicks 0.05$", out, re.MULTILINE)
    assert re.search(r"^  of cord +clicks 0.3, click no check$", out, re.MULTILINE)
