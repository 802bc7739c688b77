import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from sammoe.bundle import PROMPT_KINDS, Manifest, Routing, load_bundle, releases
from sammoe.bundle.assembling import upgrade
from sammoe.bundle.selector import without_selector
from sammoe.cli import FAILED, main
from sammoe.errors import DataSetInvalid
from sammoe.training.calibration.fitting import SLACKS, TAUS, Budget
from sammoe.training.calibration.report import Calibration, lines, write_curve
from sammoe.training.calibration.samples import Sample
from sammoe.training.commands import calibrate as command
from sammoe.training.commands.calibrate import calibrate
from tests.bundles import write_test_bundle
from tests.datasets import write_nnunet
from tests.unit.training.calibration.samples import population, softer
from tests.unit.training.evaluation.conftest import write_mixture


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nnunet(tmp_path_factory.mktemp("data") / "balls", [f"c{n}" for n in range(24)])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_mixture(tmp_path / "bundle", reference=True, distance=9.0).path


def run(*words: object) -> int:
    return main(["calibrate", *map(str, words)])


def manifest_of(bundle: Path) -> Manifest:
    return load_bundle(bundle).manifest


def test_the_manifest_gets_what_was_found(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = upgrade(load_bundle(bundle), out=bundle, replace=True).manifest
    assert run("--bundle", bundle, "--data", data, "--jobs", 2, "--budget", 0.02, "click=0.03") == 0
    after = manifest_of(bundle)
    # The selector goes with the manifest: it is another one now.
    same = after.model_copy(update={"routing": before.routing, "provenance": before.provenance})
    assert without_selector(same) == without_selector(before)
    assert after.selector != before.selector
    assert after.routing != before.routing
    assert set(after.routing.tau.values()) <= set(TAUS)
    assert after.routing.gate == before.routing.gate
    about = after.provenance.details["calibration"]
    assert isinstance(about, dict)
    assert about["patients"] == 3
    lost = about["general_lost"]
    assert isinstance(lost, dict)
    assert all(isinstance(value, float) and value <= 0.03 for value in lost.values())
    with (bundle / "calibration.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    grid = [row for row in rows if not row["own_slack"]]
    assert len(grid) == len(TAUS) * sum(map(len, SLACKS.values()))
    chosen = {row["kind"]: float(row["tau"]) for row in rows if row["chosen"] == "1"}
    assert chosen == after.routing.tau
    assert (bundle / "calibration.png").stat().st_size > 1000
    out = capsys.readouterr().out
    assert about["budget"] == {"box": 0.02, "click": 0.03, "clicks": 0.02}
    assert "calibration.png" in out


def test_a_dry_run_only_tells(
    bundle: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("--bundle", bundle, "--data", data, "--jobs", 1, "--dry-run", "--limit-cases", 3)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)  # not installed: no picture
        assert run("--bundle", bundle, "--data", data, "--jobs", 1, "--limit-cases", 2) == 0
    assert (bundle / "calibration.csv").exists()
    assert not (bundle / "calibration.png").exists()
    before = sorted((path, path.stat().st_mtime_ns) for path in bundle.rglob("*"))
    capsys.readouterr()
    assert run(*words) == 0
    assert sorted((path, path.stat().st_mtime_ns) for path in bundle.rglob("*")) == before
    first = capsys.readouterr().out
    assert "| clicks |" in first
    assert run(*words, "--out", tmp_path / "curve", "--per-expert") == 0
    told = capsys.readouterr().out
    assert told.startswith(first)
    assert "a tau for each expert" in told
    assert (tmp_path / "curve" / "calibration.csv").exists()


@pytest.mark.parametrize("saved", [True, False])
def test_a_bundle_that_was_published_meanwhile_is_left_alone(
    bundle: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    saved: bool,
) -> None:
    other = write_test_bundle(tmp_path / "other")

    def publish(samples: Sequence[Sample], budget: Budget, routing: Routing) -> Calibration:
        releases.publish(other, bundle)
        return calibrate(samples, budget, routing)

    monkeypatch.setattr(command, "calibrate", publish)
    words = ("--bundle", bundle, "--data", data, "--jobs", 1, "--limit-cases", 2)
    out = tmp_path / "curve"

    assert run(*words, *(("--out", out) if saved else ())) == FAILED

    told = capsys.readouterr()
    assert "| clicks |" in told.out
    assert "holds another bundle by now than the one that was read" in told.err
    assert (f"The grid is in {out}." in told.err) is saved
    assert (out / "calibration.csv").exists() is saved
    assert not (bundle / "calibration.csv").exists()
    assert load_bundle(bundle).digest == other.digest


def test_what_is_printed() -> None:
    samples = [sample for kind in PROMPT_KINDS for sample in population(kind)]
    routing = Routing(tau={"box": 0.5, "click": 0.5, "clicks": 0.7})
    found = calibrate(samples, {"box": 0.01, "click": 0.02, "clicks": None}, routing)
    assert isinstance(found, Calibration)
    text = list(lines(found))
    assert "| box | 0.5 | 0 | 0.300 | 0.700 | 0.0000 | 0.01 | 0.700, lost 0.1200 |" in text
    assert any(line.startswith("| clicks | 0.7 | off |") and "| kept |" in line for line in text)
    assert any("no limit tells" in line for line in text)


def test_experts_slacks_get_into_the_routing_and_the_table(tmp_path: Path) -> None:
    before = Routing(own_slack={"cord": {"clicks": 9.0, "click": 2.0}, "old": {"clicks": 1.0}})
    budget: Budget = dict.fromkeys(PROMPT_KINDS, 0.01)

    found = calibrate(softer(), budget, before)

    after = found.routing(before)
    assert after.own_slack == {"cord": {"clicks": 0.5, "click": 2.0}, "vein": {"clicks": 0.0}}
    assert "clicks, slack of each expert: cord 0.5, vein 0" in list(lines(found))
    with write_curve(found, tmp_path).open() as stream:
        [row] = [row for row in csv.DictReader(stream) if row["chosen"] == "1"]
    assert row["own_slack"] == "cord 0.5;vein 0"
    assert float(row["own"]) == pytest.approx(0.7)
    kept = calibrate(softer(), dict.fromkeys(PROMPT_KINDS), after)
    assert kept.routing(after) == after
    assert [setting.own for setting in kept.chosen] == [setting.own for setting in found.chosen]


def test_scans_that_no_expert_is_for_are_refused() -> None:
    with pytest.raises(DataSetInvalid, match="no expert is for any of these scans"):
        calibrate([], dict.fromkeys(PROMPT_KINDS, 0.01), Routing())


def test_kept_thresholds_stay(bundle: Path, data: Path) -> None:
    before = manifest_of(bundle).routing
    words = ("--bundle", bundle, "--data", data, "--jobs", 1, "--limit-cases", 2, "--users", 1)
    assert run(*words, "--budget", "keep", "clicks=0.01", "--per-expert") == 0
    after = manifest_of(bundle)
    for kind in ("box", "click"):
        assert (after.routing.tau[kind], after.routing.slack[kind]) == (
            before.tau[kind],
            before.slack[kind],
        )
    about = after.provenance.details["calibration"]
    assert isinstance(about, dict)
    assert about["budget"] == {"box": None, "click": None, "clicks": 0.01}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--jobs", "0"), "--jobs: must be 1 or more"),
        (("--limit-cases", "0"), "--limit-cases: must be 1 or more"),
        (("--seed", "-1"), "--seed: must be 0 or more"),
        (("--budget", "-1"), "'-1' is no share of Dice"),
        (("--budget", "much"), "'much' is no share of Dice"),
        (("--budget", "box=0.01", "dot=0.01"), "dot is none of box, click, clicks"),
    ],
)
def test_numbers_are_checked(
    words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=str(FAILED)):
        run("--bundle", "bundle", "--data", "data", *words)
    assert complaint in capsys.readouterr().err


def test_a_bundle_without_experts(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_test_bundle(tmp_path / "general")
    assert run("--bundle", tmp_path / "general", "--data", data) == FAILED
    assert "nothing to calibrate" in capsys.readouterr().err


def test_thresholds_that_are_all_kept_are_not_compared(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--budget", "keep", "--per-expert"
    assert run("--bundle", bundle, "--data", data, *words) == FAILED
    assert "every kind is kept" in capsys.readouterr().err


def test_an_experts_class_on_scans_that_look_otherwise_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_mixture(tmp_path / "bundle", modalities={"round": ("CT",)}).path
    data = write_nnunet(tmp_path / "balls", [f"c{n}" for n in range(6)], modality="cropped")
    run("--bundle", bundle, "--data", data, "--jobs", 1)
    err = capsys.readouterr().err
    assert "balls: ball counts as a general class (patients: 1), though the expert round" in err


def test_one_patient_is_enough_for_thresholds_and_too_few_to_compare(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--bundle", bundle, "--data", data, "--jobs", 1, "--limit-cases", 1)

    assert run(*words, "--per-expert") == 0

    told = capsys.readouterr().out
    assert told.count("| too few patients to compare | | |") == len(PROMPT_KINDS)
    assert "calibration" in manifest_of(bundle).provenance.details
    assert (bundle / "calibration.csv").exists()


@pytest.mark.parametrize(
    ("name", "modality", "complaint"),
    [
        ("ball", "MR", "every class of the calibration patients belongs to an expert (ball)"),
        ("cube", "MR", "no class of the calibration patients belongs to an expert (cube)"),
        ("ball", "CT", "no class of the calibration patients belongs to an expert (ball)"),
    ],
)
def test_data_of_one_group_are_refused_before_they_are_sampled(
    name: str,
    modality: str,
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = write_mixture(tmp_path / "bundle", modalities={"round": ("MR",), "other": ("MR",)})
    cases = [f"c{n}" for n in range(6)]
    data = write_nnunet(tmp_path / "only", cases, classes={name: 1}, modality=modality)
    monkeypatch.setattr(command, "over_cases", None)

    assert run("--bundle", bundle.path, "--data", data, "--jobs", 1) == FAILED

    assert complaint in capsys.readouterr().err


def test_scans_of_unknown_modality_are_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_mixture(tmp_path / "bundle", modalities={"round": ("MR",), "other": ("MR",)})
    cases = [f"c{n}" for n in range(6)]
    data = write_nnunet(tmp_path / "only", cases, classes={"ball": 1}, modality="scan")

    assert run("--bundle", bundle.path, "--data", data, "--jobs", 1) == FAILED

    # Whether the expert is for them, the names do not say.
    assert "no prompt of the kind 'box' on a general class" in capsys.readouterr().err
