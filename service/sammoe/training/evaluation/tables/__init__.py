"""Tables and plots of an evaluation: pure functions of its rows."""

from sammoe.training.evaluation.tables.writing import About, write_tables

__all__ = ["About", "write_tables"]
