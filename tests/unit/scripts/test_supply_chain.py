"""The SOUP list and bill of materials are those of the locks; the audit tells what it missed."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from sammoe.bundle import load_bundle
from scripts import audit, sbom, soup
from scripts.locked import pins

LOCKED = list(pins(soup.LOCK))


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """The bill of materials."""
    return sbom.bill()


def test_every_pin_of_the_lock_is_found_with_its_hashes() -> None:
    lines = soup.LOCK.read_text().splitlines()
    assert len(LOCKED) == sum("==" in line for line in lines if line[:1].isalnum())
    assert sum(len(pin.hashes) for pin in LOCKED) == sum("--hash" in line for line in lines)
    assert all(pin.hashes and pin.needed_by for pin in LOCKED)


def test_the_soup_list_is_up_to_date() -> None:
    assert soup.PAGE.read_text("utf-8") == soup.page(), "run make soup"


def test_everything_that_is_asked_for_has_a_purpose() -> None:
    assert soup.asked_for() == soup.PURPOSES.keys()
    assert soup.asked_for() <= {pin.name for pin in LOCKED}


def test_the_bill_has_every_package_and_every_file_of_the_weights(told: dict[str, Any]) -> None:
    sbom.check(told)
    packages = [one for one in told["components"] if one["type"] == "library"]
    assert {(one["name"], one["version"]) for one in packages} == {
        (pin.name, pin.version) for pin in LOCKED
    }
    models = [one for one in told["components"] if one["type"] == "machine-learning-model"]
    files = {
        (file["name"], file["hashes"][0]["content"])
        for model in models
        for file in model["components"]
    }
    assert files == set(load_bundle(sbom.WEIGHTS).manifest.files.items())
    assert all(model["licenses"][0]["license"]["name"] for model in models)
    needs = {entry["ref"]: entry["dependsOn"] for entry in told["dependencies"]}
    (starlette,) = [one["bom-ref"] for one in packages if one["name"] == "starlette"]
    (fastapi,) = [one["bom-ref"] for one in packages if one["name"] == "fastapi"]
    assert starlette in needs[fastapi]


def test_a_bill_of_another_form_is_noticed(told: dict[str, Any]) -> None:
    broken = deepcopy(told)
    broken["components"][0]["type"] = "thing"
    with pytest.raises(ValueError, match="schema"):
        sbom.check(broken)


def test_the_bill_is_a_file_and_every_time_the_same(
    told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["sbom", str(tmp_path / "new" / "bill.json")])
    assert sbom.main() == 0
    assert json.loads((tmp_path / "new" / "bill.json").read_text()) == told


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "1 of 1 packages looked up, 0"),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}],
            1,
            "a 1: CVE-1, mended by 2",
        ),
        ([{"name": "a", "skip_reason": "not found"}], 2, "1 were NOT checked"),
    ],
)
def test_the_audit_tells_what_it_did_not_see(
    packages: list[dict[str, object]], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.judge({"dependencies": packages}) == code
    assert said in capsys.readouterr().out
