"""An evaluation's rows, asked by what they are."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from sammoe.training.evaluation.rows import Row
from sammoe.training.evaluation.systems import BASELINE, FT_EXPERT, MIXTURES
from sammoe.training.evaluation.tables.statistics import Bootstrap, Draws

Filter = Callable[[Row], bool]


@dataclass(frozen=True)
class Asked:
    """A kind of prompt in tables: its title and which answers it takes.

    ``clicks``: the first and the last number of clicks.
    """

    title: str
    prompt: str
    clicks: tuple[int, int] = (0, 0)

    def takes(self, row: Row) -> bool:
        """Whether a row answers it."""
        return row.prompt == self.prompt and self.clicks[0] <= row.clicks <= self.clicks[1]


BOX, JITTER, LOOSE = (
    Asked("box", "box"),
    Asked("box ±10 %", "jitter"),
    Asked("box 0..+20 %", "loose"),
)
CLICK = Asked("1 click", "loop", (1, 1))


class Answers:
    """Rows of an evaluation.

    Parameters
    ----------
    rows
        All of them.
    downstream
        Expert of the downstream task, or None.
    seen
        General classes whose labels the gate learnt from.
    """

    def __init__(
        self, rows: Sequence[Row], downstream: str | None = None, seen: Sequence[str] = ()
    ) -> None:
        self.rows, self.downstream, self.seen = rows, downstream, frozenset(seen)
        self.bootstrap = Bootstrap(rows)
        self._by: defaultdict[tuple[str, str, str], list[Row]] = defaultdict(list)
        for row in rows:
            self._by[row.system, row.group, row.prompt].append(row)

    @cached_property
    def clicks(self) -> int:
        """How many clicks the longest loop has."""
        return max((row.clicks for row in self.rows if row.prompt == "loop"), default=0)

    @cached_property
    def mixtures(self) -> list[str]:
        """The mixtures that were evaluated, in the tables' order."""
        found = {row.system for row in self.rows}
        return [name for name in MIXTURES.values() if name in found]

    @property
    def systems(self) -> list[str]:
        """Rows of Table 1."""
        return [BASELINE, FT_EXPERT, *self.mixtures]

    @property
    def loop(self) -> Asked:
        """The answer after all clicks, each of which corrected the one before."""
        return Asked(f"{self.clicks} clicks", "loop", (self.clicks, self.clicks))

    @property
    def at_once(self) -> Asked:
        """The answer to as many points at once."""
        return Asked(f"{self.clicks} points at once", "at_once", (0, self.clicks))

    @property
    def later(self) -> Asked:
        """All answers from the third click on."""
        return Asked("3+ clicks", "loop", (3, self.clicks))

    def select(
        self, system: str, group: str, asked: Asked, keep: Filter = lambda row: True
    ) -> list[Row]:
        """Rows of a system in a group (``own``, ``general``) that answer a kind of prompt."""
        found = self._by[system, group, asked.prompt]
        return [row for row in found if asked.takes(row) and keep(row)]

    def dice(self, system: str, group: str, asked: Asked, keep: Filter = lambda row: True) -> Draws:
        """Mean Dice over classes."""
        return self.bootstrap.mean(self.select(system, group, asked, keep))
