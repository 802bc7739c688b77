import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.training.datasets import DataSet
from sammoe.training.evaluation.metrics import dice
from sammoe.training.evaluation.rows import Row
from sammoe.training.evaluation.running import evaluate_case, expert_of
from sammoe.training.evaluation.systems import VARIANTS
from sammoe.training.evaluation.targets import Options
from sammoe.volume.reading import read_volume
from sammoe.volume.volume import Modality
from tests.unit.training.evaluation.conftest import write_mixture

OPTIONS = Options(clicks=3)


@pytest.fixture(scope="module")
def rows(engine: LocalEngine, dataset: DataSet) -> list[Row]:
    job = evaluate_case({"ours": engine}, dataset.cases[0], ("ball", "cube", "?"), OPTIONS)
    return asyncio.run(job)


def of(rows: list[Row], structure: str, system: str, prompt: str, clicks: int) -> Row:
    (row,) = (
        r
        for r in rows
        if (r.structure, r.system, r.prompt, r.clicks) == (structure, system, prompt, clicks)
    )
    return row


async def test_every_prompt_goes_to_every_system(rows: list[Row]) -> None:
    counts = Counter((r.structure, r.system, r.prompt) for r in rows)
    for structure in ("ball", "cube"):
        for system in ("ours", "baseline"):
            for prompt, number in {
                "box": 1,
                "jitter": 1,
                "loose": 1,
                "at_once": 1,
                "loop": 3,
            }.items():
                assert counts[structure, system, prompt] == number
    for variant in VARIANTS:
        assert counts["ball", f"ours: {variant.name}", "box"] == 1
        assert counts["cube", f"ours: {variant.name}", "at_once"] == 1
        assert counts["ball", f"ours: {variant.name}", "loop"] == 0
    assert counts["ball", "ft_expert", "jitter"] == 1
    assert counts["ball", "ft_expert", "loop"] == 3
    # Experts of other classes are asked with exact boxes and clicks alone.
    assert counts["cube", "ft_expert", "box"] == 2
    assert counts["cube", "ft_expert", "loop"] == 6
    assert counts["cube", "ft_expert", "jitter"] == counts["cube", "ft_expert", "at_once"] == 0


async def test_rows_say_whose_the_class_is(rows: list[Row]) -> None:
    assert {(r.structure, r.group, r.expert) for r in rows} == {
        ("ball", "own", "round"),
        ("cube", "general", ""),
    }
    assert {r.used for r in rows if r.system == "baseline"} == {"general"}
    assert {r.used for r in rows if (r.system, r.group) == ("ft_expert", "own")} == {"round"}
    assert {r.used for r in rows if (r.system, r.group) == ("ft_expert", "general")} == {
        "round",
        "other",
    }


async def test_what_is_not_fused_is_the_baseline(rows: list[Row]) -> None:
    seen = set()
    for row in rows:
        if row.system != "ours" or row.prompt == "loop":
            continue
        general = of(rows, row.structure, "baseline", row.prompt, row.clicks)
        assert row.dice_general == general.dice
        seen.add(row.used)
        assert row.top in {"round", "other"}
        if row.used == "general":
            assert row.dice == general.dice
        assert np.isfinite(row.dice_expert)
        assert np.isfinite(row.distance)
        assert np.isfinite(row.nsd)
    assert len(seen) > 1
    same = of(rows, "ball", "ours: calibrated tau, check", "box", 0)
    assert same.dice == of(rows, "ball", "ours", "box", 0).dice


async def test_all_gates_are_checked_with_the_first_bundles_slack(
    dataset: DataSet, tmp_path: Path
) -> None:
    strict = write_mixture(tmp_path / "strict", tau=0.0, slack=-9.0)  # no expert's mask will do
    paper = write_mixture(tmp_path / "paper", gate="paper")
    options = EngineOptions(encoder_threads=1, decoder_threads=1)
    engines = {"ours": LocalEngine(strict, options), "paper": LocalEngine(paper, options)}
    rows = await evaluate_case(engines, dataset.cases[0], ("ball",), Options(clicks=1))
    for engine in engines.values():
        await engine.close()
    for prompt, clicks in (("box", 0), ("at_once", 1)):
        general = of(rows, "ball", "baseline", prompt, clicks).dice
        for variant in VARIANTS:
            if variant.checked:
                row = of(rows, "ball", f"paper: {variant.name}", prompt, clicks)
                assert row.dice == general


async def test_equal_questions_get_equal_answers(
    rows: list[Row], engine: LocalEngine, dataset: DataSet
) -> None:
    again = await evaluate_case({"ours": engine}, dataset.cases[0], ("ball", "cube"), OPTIONS)
    assert list(map(repr, again)) == list(map(repr, rows))


async def test_users_ask_each_in_their_own_way(
    rows: list[Row], engine: LocalEngine, dataset: DataSet
) -> None:
    asked = replace(OPTIONS, users=2)
    both = await evaluate_case({"ours": engine}, dataset.cases[0], ("ball", "cube"), asked)
    second = replace(OPTIONS, seed=1)
    alone = await evaluate_case({"ours": engine}, dataset.cases[0], ("ball", "cube"), second)
    assert sorted(map(repr, both)) == sorted(map(repr, [*rows, *alone]))
    assert list(map(repr, alone)) != list(map(repr, rows))


async def test_masks_crops_careful_users_and_a_downstream_class(
    engine: LocalEngine, dataset: DataSet, tmp_path: Path
) -> None:
    case, options = dataset.cases[1], Options(2, "careful", "other", crop=True, save=tmp_path)
    found = await evaluate_case({"ours": engine}, case, ("cube",), options)
    assert all(np.isfinite(r.dice_crop) for r in found if ":" not in r.system)
    # The expert of the downstream class is among those that are asked.
    asked = [r.used for r in found if r.system == "ft_expert" and r.prompt == "box"]
    assert asked[0] == "other"
    row = of(found, "cube", "ours", "loop", 2)
    path = tmp_path / "ours" / case.dataset / case.name / "cube_loop_2.nii.gz"
    saved = read_volume(path).voxels > 0
    target = case.read_masks(case.read_image())["cube"]
    assert dice(saved, target) == pytest.approx(row.dice)
    assert (tmp_path / "ft_expert_round" / case.dataset / case.name / "cube_box_0.nii.gz").exists()


async def test_an_expert_is_for_its_modalities(engine: LocalEngine) -> None:
    manifest = engine.bundle.manifest
    narrow = manifest.model_copy(
        update={
            "experts": tuple(
                expert.model_copy(update={"modalities": ("CT",)}) for expert in manifest.experts
            )
        }
    )
    assert expert_of(manifest, "ball", Modality.MR) == "round"
    assert expert_of(narrow, "ball", Modality.MR) == ""
    assert expert_of(narrow, "ball", Modality.CT) == "round"
    assert expert_of(narrow, "ball", Modality.UNKNOWN) == "round"
    assert expert_of(manifest, "cube", Modality.MR) == ""
