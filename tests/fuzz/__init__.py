"""Parsers under coverage-guided fuzzing; see `tests.fuzz.__main__`."""
