import numpy as np
import pytest
from scipy import ndimage

from examples.demo.structures import (
    STRUCTURES,
    Template,
    load_template,
    reference_mask,
    to_index,
    to_mm,
)

# Millilitres of the structures in adult brains, wide; MNI's average brain is larger than most.
USUAL_ML = {
    "thalamus": (5, 10),
    "caudate": (3, 6),
    "putamen": (3.5, 7),
    "ventricles": (10, 30),
}


@pytest.fixture(scope="module")
def template() -> Template:
    return load_template()


def test_the_template_is_the_one_that_the_table_is_for(template: Template) -> None:
    assert template.scan.shape == (197, 233, 189)
    np.testing.assert_array_equal(template.affine[:3, :3], np.eye(3))
    assert to_mm(np.array([98, 134, 72]), template.affine) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", STRUCTURES)
def test_references_are_one_piece_of_the_usual_size_around_the_first_click(
    name: str, template: Template
) -> None:
    structure = STRUCTURES[name]

    reference = reference_mask(structure, template)

    low, high = USUAL_ML[name]
    assert low <= np.count_nonzero(reference) / 1000 <= high
    assert ndimage.label(reference)[1] == 1
    assert reference[tuple(to_index(structure.first_click, template.affine).astype(int))]


def test_a_missing_nilearn_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(FileNotFoundError, match="make demo"):
        load_template()
