import asyncio
import math

import pytest

from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.training.calibration.samples import NAME, Sample, sample_case
from sammoe.training.datasets import DataSet
from sammoe.training.evaluation.running import Job
from tests.unit.training.evaluation.conftest import write_mixture


@pytest.fixture(scope="module")
def samples(engine: LocalEngine, dataset: DataSet) -> list[Sample]:
    job = Job(dataset.cases[0], ("ball", "cube", "none"))
    return asyncio.run(sample_case({NAME: engine}, job, 0))


def test_every_kind_of_prompt_on_every_target(samples: list[Sample]) -> None:
    kinds = ["box", "box", "clicks", "clicks", "click", *5 * ["clicks"]]
    ways = ["box", "jitter", "at_once", "at_once", *6 * ["loop"]]
    assert [(s.structure, s.kind, s.way) for s in samples] == [
        (structure, kind, way)
        for structure in ("ball", "cube")
        for kind, way in zip(kinds, ways, strict=True)
    ]
    assert {(s.structure, s.expert) for s in samples} == {("ball", "round"), ("cube", "")}
    for sample in samples:
        assert 0 < sample.general <= 1
        assert 0 < sample.expert_dice <= 1
        assert 0 < sample.agreement <= 1
        assert 0 < sample.s_top <= 1
        assert sample.top in {"round", "other"}
        assert math.isfinite(sample.distance)
        low, high = sorted((sample.general, sample.expert_dice))
        assert low - 0.05 <= sample.fused <= high + 0.05
        assert all(map(math.isfinite, sample.misfits))


def test_samples_are_a_function_of_the_seed(
    samples: list[Sample],
    engine: LocalEngine,
    dataset: DataSet,
) -> None:
    job = Job(dataset.cases[0], ("ball", "cube"))
    assert asyncio.run(sample_case({NAME: engine}, job, 0)) == samples
    other = asyncio.run(sample_case({NAME: engine}, job, 1))
    assert other != samples
    both = asyncio.run(sample_case({NAME: engine}, job, 0, users=2))
    ball = len(both) // 4
    assert both == [*samples[:ball], *other[:ball], *samples[ball:], *other[ball:]]


def test_scans_that_no_expert_is_for_give_none(
    tmp_path_factory: pytest.TempPathFactory,
    dataset: DataSet,
) -> None:
    modalities = {"round": ("CT",), "other": ("CT",)}
    bundle = write_mixture(tmp_path_factory.mktemp("ct"), modalities=modalities)
    engine = LocalEngine(bundle, EngineOptions(encoder_threads=1, decoder_threads=1))
    job = Job(dataset.cases[0], ("ball",))
    assert asyncio.run(sample_case({NAME: engine}, job, 0)) == []
    asyncio.run(engine.close())
