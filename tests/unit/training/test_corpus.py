from pathlib import Path

import numpy as np
import pytest

from sammoe.training import corpus
from sammoe.training.data.labelmap import LabelMap


@pytest.mark.data
def test_the_corpus_draws_from_all_sources(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_brain(path: Path) -> list[LabelMap]:
        assert path.exists()
        labels = np.zeros((64, 64, 64), np.uint8)
        labels[20:44, 20:44, 20:44] = 1
        return [LabelMap(labels, 1.5, {1: "cube"}, {1: 1.0}, kind="brain")]

    monkeypatch.setattr(corpus, "brains", one_brain)
    monkeypatch.setattr(corpus, "POOL", {"torso": 1, "shapes": 1})
    monkeypatch.setattr(
        corpus, "images", lambda data, folder, part: sorted(data.glob(f"{folder}/images/*"))[:1]
    )
    made = corpus.samplers(tmp_path, real_data, corpus.small_window_rule(), prompts=1)
    rng = np.random.default_rng(0)
    assert sum(share for share, _ in made) == pytest.approx(1)
    for _, sampler in made:
        assert any(sampler.draw(rng) is not None for _ in range(20))
