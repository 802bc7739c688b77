import numpy as np
import pytest

from sammoe.training.real import ScanSampler
from sammoe.volume.geometry import Geometry
from sammoe.volume.volume import Modality, ModalitySource, Volume
from tests.unit.training.small import CELLS, RULE, SIDE


def scan(voxels: np.ndarray) -> Volume:
    geometry = Geometry(voxels.shape, np.diag([2.0, 2.0, 4.0, 1.0]))
    return Volume(voxels, geometry, Modality.MR, ModalitySource.USER)


@pytest.fixture
def blobs() -> Volume:
    rng = np.random.default_rng(0)
    grid = np.indices((60, 50, 24)).astype(np.float32)
    field = np.full(grid.shape[1:], 40.0, np.float32)
    for centre, value in (((15, 15, 8), 150), ((40, 30, 12), 220), ((20, 38, 16), 90)):
        distance = np.square(grid - np.array(centre)[:, None, None, None]).sum(0)
        field[distance < 12**2] = value
    return scan(field + rng.normal(0, 4, field.shape).astype(np.float32))


def test_samples_are_windows_of_the_scan_with_objects_in_them(blobs: Volume) -> None:
    sampler, rng = ScanSampler([blobs], RULE, prompts=2), np.random.default_rng(0)
    drawn = [s for s in (sampler.draw(rng) for _ in range(20)) if s is not None]
    assert drawn
    for sample in drawn:
        assert sample.image.shape == (SIDE,) * 3
        assert np.isfinite(sample.image).all()
        assert sample.targets.shape == (2, CELLS, CELLS, CELLS)
        assert sample.targets.max() == 1


def test_an_empty_scan_gives_no_sample() -> None:
    empty = scan(np.zeros((40, 40, 20), np.float32))
    assert ScanSampler([empty], RULE, prompts=1).draw(np.random.default_rng(0)) is None
