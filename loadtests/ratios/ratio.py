"""One ratio, and the table of all."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """What was measured, beside what was hoped for.

    Attributes
    ----------
    name
        ``P1`` to ``P13``.
    what
        What over what.
    value
        The ratio.
    floor, target
        What it must be, and what it should be.
    at_most
        Whether less is better.
    holds
        Whether its condition was met, without which the number means nothing.
    seen
        The two numbers, and their spread.
    """

    name: str
    what: str
    value: float
    floor: float
    target: float
    seen: str
    at_most: bool = True
    holds: bool = True

    @property
    def verdict(self) -> str:
        """In a word."""
        if not self.holds:
            return "VOID"
        if self._reaches(self.target):
            return "target"
        return "floor" if self._reaches(self.floor) else "MISSED"

    def _reaches(self, goal: float) -> bool:
        return self.value <= goal if self.at_most else self.value >= goal


def table(ratios: Iterable[Ratio]) -> str:
    """Markdown, as in docs/results.md."""
    lines = ["| ratio | | floor | target | reached | verdict |", "|---|---|---|---|---|---|"]
    for one in ratios:
        sign = "≤" if one.at_most else "≥"
        lines.append(
            f"| {one.name} | {one.what} | {sign} {one.floor:g} | {sign} {one.target:g}"
            f" | {one.value:.3g} ({one.seen}) | {one.verdict} |"
        )
    return "\n".join(lines)
