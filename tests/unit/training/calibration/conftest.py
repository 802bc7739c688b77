"""The mixture and the data set of the evaluation's tests."""

from tests.unit.training.evaluation.conftest import dataset, engine, mixture

__all__ = ["dataset", "engine", "mixture"]
