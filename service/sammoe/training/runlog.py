"""A run's log: a CSV file, and TensorBoard's where it is installed."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sammoe.errors import SettingsInvalid


class RunLog:
    """Rows by step in ``log.csv`` of a folder.

    Parameters
    ----------
    folder
        Of the run; TensorBoard's files come into ``tensorboard`` in it.
    columns
        Beside ``step``, which is the first.
    """

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self.path = folder / "log.csv"
        self.columns = ["step", *columns]
        self._board = _board(folder / "tensorboard")

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add a row; what ``values`` lacks stays empty."""
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            if not file.tell():
                writer.writeheader()
            writer.writerow({"step": step} | {name: f"{v:.6g}" for name, v in values.items()})
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def cut(self, step: int) -> None:
        """Drop what a killed run wrote after the state that it is resumed from, and half a line,
        as a full disk leaves it.

        Raises
        ------
        SettingsInvalid
            The log is damaged.
        """
        if not self.path.exists():
            return
        try:
            text = self.path.read_text()
            header, *rows = text[: text.rfind("\n") + 1].splitlines(keepends=True) or [""]
            kept = [row for row in rows if int(row.partition(",")[0]) <= step]
        except ValueError as error:
            raise SettingsInvalid(
                f"{self.path} is damaged: remove it to go on with a new one"
            ) from error
        self.path.write_text("".join([header, *kept]))

    def close(self) -> None:
        """Let TensorBoard write what it still holds."""
        if self._board:
            self._board.close()


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
