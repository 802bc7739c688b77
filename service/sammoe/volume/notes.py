"""What a reader noticed and handled: stable codes, and words that hold nothing of the patient's."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadingNote:
    """Something odd about a scan that the reader handled: a stable code, and words for people."""

    code: str
    detail: str


def orientation_assumed() -> ReadingNote:
    """Nothing in the file says how the patient lies."""
    return ReadingNote(
        "orientation_assumed",
        "The file does not say how the patient lies: its axes are taken to run to the right, the"
        " front and the head, which may exchange left and right.",
    )


def orientation_contradictory(used: str, other: str) -> ReadingNote:
    """The file says it twice, and differently; ``used`` and ``other`` as in ``RAS``."""
    return ReadingNote(
        "orientation_contradictory",
        f"The file says twice how the patient lies, and differently: by its sform the axes run to"
        f" {used}, which is used, by its qform to {other}.",
    )
