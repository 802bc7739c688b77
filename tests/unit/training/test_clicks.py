import pytest
import torch

from sammoe.training.clicks import corrective_clicks

SIZE, CELLS = 32, 16


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def cube(*spans: tuple[int, int]) -> torch.Tensor:
    target = torch.zeros(1, CELLS, CELLS, CELLS)
    (a, b), (c, d), (e, f) = spans
    target[:, a:b, c:d, e:f] = 1
    return target


def cells_of(coords: torch.Tensor) -> torch.Tensor:
    return ((coords + 0.5) * CELLS / SIZE).floor().long()


@pytest.mark.parametrize("deep", [0.0, 1.0])
def test_clicks_fall_into_the_error_with_its_label(deep: float) -> None:
    target = cube((2, 10), (2, 10), (2, 10)).repeat(40, 1, 1, 1)
    shown = cube((6, 14), (2, 10), (2, 10)).repeat(40, 1, 1, 1) * 2 - 1
    coords, labels = corrective_clicks(shown, target, SIZE, generator(), deep)
    for cell, label in zip(cells_of(coords), labels, strict=True):
        i, j, k = cell.tolist()
        wanted, given = bool(target[0, i, j, k] > 0.5), bool(shown[0, i, j, k] > 0)
        assert wanted != given
        assert int(label) == int(wanted)


def test_a_careful_user_clicks_deep_inside_the_larger_error() -> None:
    target = cube((1, 11), (1, 11), (1, 11))
    coords, labels = corrective_clicks(-torch.ones_like(target), target, SIZE, generator(), 1.0)
    assert labels.tolist() == [1]
    assert (cells_of(coords) >= 4).all()
    assert (cells_of(coords) <= 8).all()


def test_without_an_error_the_click_is_positive_and_inside() -> None:
    target = cube((2, 6), (2, 6), (2, 6))
    coords, labels = corrective_clicks(target * 2 - 1, target, SIZE, generator())
    assert labels.tolist() == [1]
    i, j, k = cells_of(coords)[0].tolist()
    assert target[0, i, j, k] == 1


def test_clicks_are_a_function_of_the_generator() -> None:
    target = cube((2, 9), (3, 8), (4, 12))
    first, _ = corrective_clicks(-torch.ones_like(target), target, SIZE, generator())
    again, _ = corrective_clicks(-torch.ones_like(target), target, SIZE, generator())
    assert torch.equal(first, again)
