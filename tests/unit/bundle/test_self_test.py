"""A runner of arithmetic, whose answers can be bent."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.bundle import Manifest
from sammoe.bundle.self_test import TOLERANCE, CasePrompt, check_self_test, record_self_test
from sammoe.errors import BundleInvalid
from tests.unit.bundle.bundles import EXPERT, MODEL, write_bundle


class Arithmetic:
    """Sums and differences of its inputs; ``error`` is added to one expert's mask."""

    def __init__(self, error: float = 0.0, cells: int = 8) -> None:
        self.error = error
        self.cells = cells
        self.images: list[NDArray[np.float32]] = []
        self.prompts: list[CasePrompt] = []

    def encode(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        self.images.append(image)
        return image.reshape(1, 16, -1).astype(np.float16)

    def logits(
        self, embedding: NDArray[np.float16], prompt: CasePrompt, decoder: str
    ) -> NDArray[np.float32]:
        self.prompts.append(prompt)
        mask = np.full((self.cells,) * 3, float(prompt.coords.sum()), np.float32)
        mask += float(embedding.astype(np.float32)[0, 0, 0])
        return mask + (self.error if decoder == "cord" else 0)

    def scores(self, embedding: NDArray[np.float16], prompt: CasePrompt) -> NDArray[np.float32]:
        return np.array([0.25], np.float32)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """With one expert, tested."""
    written = write_bundle(tmp_path, experts=(EXPERT,))
    case = record_self_test(MODEL, 16, ("cord",), Arithmetic())
    return written.model_copy(update={"self_test": case})


def test_the_same_answers_pass(manifest: Manifest) -> None:
    assert check_self_test(manifest, Arithmetic()) < 0.01


def test_every_output_is_sampled_for_a_click_and_a_box(manifest: Manifest) -> None:
    assert manifest.self_test is not None
    outputs = manifest.self_test.outputs
    assert outputs.keys() == {
        "embedding",
        *(f"{kind}/{name}" for kind in ("click", "box") for name in ("general", "cord", "scores")),
    }
    assert len(outputs["embedding"]) == len(outputs["box/cord"]) == 16
    assert outputs["box/scores"] == (0.25,)
    assert len(set(outputs["embedding"])) > 8
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_without_boxes_and_experts_there_is_less_to_ask() -> None:
    runner = Arithmetic()

    case = record_self_test(MODEL.model_copy(update={"boxes": False}), 16, (), runner)

    assert case.outputs.keys() == {"embedding", "click/general"}
    (image,), (prompt,) = runner.images, runner.prompts
    assert image.shape == (1, 1, 16, 16, 16)
    assert image.dtype == np.float32
    assert abs(float(image.mean())) < 1e-5
    assert prompt.coords.tolist() == [[[8, 8, 8], [0, 0, 0]]]
    assert prompt.labels.tolist() == [[1, -1]]
    assert prompt.mask.shape == (1, 1, 8, 8, 8)


def test_a_difference_is_reported_up_to_the_tolerance_and_refused_beyond(
    manifest: Manifest,
) -> None:
    assert manifest.self_test is not None
    largest = max(abs(v) for v in manifest.self_test.outputs["click/cord"])
    allowed = TOLERANCE * largest

    assert check_self_test(manifest, Arithmetic(0.5 * allowed)) == pytest.approx(0.5, rel=0.05)
    with pytest.raises(BundleInvalid, match="fails its self-test: click/cord differs by"):
        check_self_test(manifest, Arithmetic(1.5 * allowed))
    with pytest.raises(BundleInvalid, match="click/cord differs by nan"):
        check_self_test(manifest, Arithmetic(float("nan")))


def test_answers_of_another_size_are_refused(manifest: Manifest) -> None:
    assert manifest.self_test is not None
    outputs = manifest.self_test.outputs | {"click/general": (1.0, 2.0)}
    case = manifest.self_test.model_copy(update={"outputs": outputs})

    with pytest.raises(BundleInvalid, match="click/general differs by inf"):
        check_self_test(manifest.model_copy(update={"self_test": case}), Arithmetic())


def test_a_self_test_of_other_experts_is_refused(manifest: Manifest) -> None:
    changed = manifest.model_copy(update={"experts": ()})

    with pytest.raises(BundleInvalid, match="does not fit its models: box/cord, box/scores"):
        check_self_test(changed, Arithmetic())


def test_a_bundle_without_one_is_refused(manifest: Manifest) -> None:
    with pytest.raises(BundleInvalid, match="has no self-test: export it again"):
        check_self_test(manifest.model_copy(update={"self_test": None}), Arithmetic())
