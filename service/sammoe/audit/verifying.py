"""Checking the audit log: every line's seal, every chain, and all chains with each other."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sammoe.audit.chains import chains_in, files_of, lines_of
from sammoe.audit.seals import FIRST, Line, Sealer, read_line
from sammoe.errors import SettingsInvalid

Heads = Mapping[str, tuple[int, str]]
"""Chain -> number and seal of a line that it must have."""

_MOST_BREAKS: Final = 20
"""Breaks of one chain that are told; after a break each line can only be held to the one before."""


@dataclass(frozen=True)
class Finding:
    """Something at a place: ``chain``, file and line number there; ``says`` what."""

    place: str
    says: str


@dataclass
class Verdict:
    """What was found.

    Attributes
    ----------
    breaks
        Where lines were changed, removed or added.
    notes
        What a crash leaves, and what is being written.
    heads
        The last line of each chain.
    """

    breaks: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    lines: int = 0


def verify(
    folder: Path, sealer: Sealer, known: Heads | None = None, *, archived: bool = False
) -> Verdict:
    """Check all chains of a folder.

    Parameters
    ----------
    sealer
        With the key, where lines were sealed with one: all must be, then.
    known
        Lines that were noted elsewhere, and must be there.
    archived
        Whether the first files of a chain may be missing.

    Raises
    ------
    SettingsInvalid
        There is no log in the folder.
    """
    chains = chains_in(folder)
    if not chains:
        raise SettingsInvalid(f"{folder} holds no audit log")
    verdict = Verdict()
    claims: dict[str, dict[int, set[str]]] = {}
    for name, (n, seal) in (known or {}).items():
        claims.setdefault(name, {}).setdefault(n, set()).add(seal)
    for chain in chains:
        for name, (n, seal) in _said_beside(chain):
            claims.setdefault(name, {}).setdefault(n, set()).add(seal)
    for chain in chains:
        _Check(chain, sealer, claims.pop(chain.name, {}), verdict, archived=archived).run()
    for name, lines in claims.items():
        verdict.breaks.append(
            Finding(name, f"the whole chain is missing; it had line {max(lines)}")
        )
    return verdict


def _said_beside(chain: Path) -> Iterator[tuple[str, tuple[int, str]]]:
    """What the first lines of a chain's files say of other chains."""
    for file in files_of(chain):
        first = next((text for _, text in lines_of(file)), b"")
        line = read_line(first[:-1])
        if line is not None:
            for name, (n, seal) in dict(line.said.get("beside", {})).items():
                yield str(name), (int(n), str(seal))


class _Check:
    """Goes through one chain."""

    def __init__(
        self,
        chain: Path,
        sealer: Sealer,
        claims: Mapping[int, Iterable[str]],
        verdict: Verdict,
        *,
        archived: bool,
    ) -> None:
        self._chain = chain
        self._sealer = sealer
        self._claims = {n: set(seals) for n, seals in claims.items()}
        self._verdict = verdict
        self._archived = archived
        self._n, self._seal = 0, FIRST
        self._torn: tuple[str, int] | None = None
        self._breaks = 0

    def run(self) -> None:
        """Check every file, and that nothing is missing at the end."""
        files = files_of(self._chain)
        for file in files:
            self._check_file(file)
        if self._torn is not None:
            place, size = self._torn
            self._note(
                place,
                f"ends in {size} bytes that are no line: its writer died there, or is writing",
            )
        late = {n for n in self._claims if n > self._n}
        if late:
            self._break(
                self._chain.name,
                f"ends with line {self._n}, and had line {max(late)}: lines are missing",
            )
        self._verdict.heads[self._chain.name] = (self._n, self._seal)

    def _check_file(self, file: Path) -> None:
        begins = True
        for offset, text in lines_of(file):
            place = f"{self._chain.name}/{file.name}, line {self._n + 1}"
            line = read_line(text[:-1]) if text.endswith(b"\n") else None
            if line is None:
                self._not_a_line(place, file, offset)
                return
            self._check_line(line, place, begins=begins)
            begins = False
        if begins and self._torn is None:
            self._note(f"{self._chain.name}/{file.name}", "is empty: its writer died there")

    def _not_a_line(self, place: str, file: Path, offset: int) -> None:
        """The rest of the file is torn, or somebody has changed it: what follows tells."""
        size = file.stat().st_size - offset
        with file.open("rb") as stream:
            stream.seek(offset)
            ended = stream.read().split(b"\n")[:-1]
            whole = any(read_line(text) is not None for text in ended)
        if whole or self._torn is not None:
            self._break(place, "is no line of the log: it was changed")
            self._go_on_after(file, offset)
        else:
            self._torn = (place, size)

    def _go_on_after(self, file: Path, offset: int) -> None:
        """Find the next whole line, so that one change is told once."""
        begins = False
        for at, text in lines_of(file):
            line = read_line(text[:-1]) if at > offset else None
            if line is None:
                continue
            self._n, self._seal = line.n - 1, line.previous
            self._check_line(line, f"{self._chain.name}/{file.name}, line {line.n}", begins=begins)

    def _check_line(self, line: Line, place: str, *, begins: bool) -> None:
        self._verdict.lines += 1
        if self._sealer.seal(line.content) != line.seal:
            self._break(place, "was changed, or was sealed with another key")
        if begins:
            self._check_beginning(line, place)
        elif line.n != self._n + 1:
            self._break(place, f"has number {line.n}: lines are missing or were added before it")
        elif line.previous != self._seal:
            self._break(place, "does not follow from the line before: that one was changed")
        if line.seal not in self._claims.pop(line.n, {line.seal}):
            self._break(place, "is another line than the one that was known")
        self._n, self._seal = line.n, line.seal

    def _check_beginning(self, line: Line, place: str) -> None:
        """The first line of a file: it says what its writer found."""
        if line.said.get("seals") != self._sealer.name:
            self._break(place, f"says that it is sealed by {line.said.get('seals')}")
        torn = line.said.get("torn", 0)
        found = 0 if self._torn is None else self._torn[1]
        if self._torn is not None and torn == found:
            self._note(self._torn[0], f"breaks off after {torn} bytes: its writer died there")
        elif torn != found:
            self._break(place, f"says that {torn} bytes before it are no line, and {found} are not")
        self._torn = None
        missing = line.n != self._n + 1 or line.previous != self._seal
        if missing and self._n == 0 and self._archived:
            self._note(place, f"lines before {line.n} are elsewhere")
            self._claims = {n: seals for n, seals in self._claims.items() if n >= line.n}
        elif missing:
            self._break(place, f"lines between {self._n} and {line.n} are missing or were changed")

    def _break(self, place: str, says: str) -> None:
        self._breaks += 1
        if self._breaks <= _MOST_BREAKS:
            self._verdict.breaks.append(Finding(place, says))

    def _note(self, place: str, says: str) -> None:
        self._verdict.notes.append(Finding(place, says))
