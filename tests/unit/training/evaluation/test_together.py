import numpy as np

from sammoe.engine.local import LocalEngine
from sammoe.segmentation import Point
from sammoe.training.datasets import DataSet
from sammoe.training.evaluation.sessions import Scene
from sammoe.training.evaluation.together import points_together
from sammoe.volume.geometry import Geometry
from sammoe.volume.volume import Modality, ModalitySource, Volume


def test_large_targets_get_points_that_one_window_holds(engine: LocalEngine) -> None:
    """The window is 48 mm wide; the target is a plate of 200 mm."""
    shape = (100, 20, 20)
    voxels = np.random.default_rng(0).integers(1, 200, shape).astype(np.int16)
    geometry = Geometry(shape, np.diag([2.0, 2, 2, 1]))
    scene = Scene(engine, Volume(voxels, geometry, Modality.MR, ModalitySource.USER))
    mask = np.zeros(shape, bool)
    mask[:, 8:12, 8:12] = True
    for seed in range(40):
        prompt = points_together(scene, mask, 6, np.random.default_rng(seed))
        assert len(prompt.points) == 6
        assert len(set(prompt.points)) == 6
        assert all(mask[int(p.x), int(p.y), int(p.z)] for p in prompt.points)


def test_small_targets_get_as_many_points_as_they_have_voxels(
    engine: LocalEngine, dataset: DataSet
) -> None:
    volume = dataset.cases[0].read_image()
    mask = np.zeros(volume.geometry.shape, bool)
    mask[9, 9, 8:10] = True
    prompt = points_together(Scene(engine, volume), mask, 6, np.random.default_rng(0))
    assert set(prompt.points) == {Point(9, 9, 8), Point(9, 9, 9)}
