"""Bundles of these tests share their graphs."""

from tests.unit.export.made_once import made_once

__all__ = ["made_once"]
