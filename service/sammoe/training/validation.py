"""How well a decoder answers prepared windows: the number that training watches."""

from dataclasses import asdict, dataclass

import torch

from sammoe.model import SamMed3D
from sammoe.training.losses import dice_score
from sammoe.training.prepared import Prepared
from sammoe.training.ranks import Ranks
from sammoe.training.simulation import Simulation, run

_CLICKS = 3  # answers of a user who clicks
COLUMNS = ("dice_box", "dice_click", "dice_clicks")


@dataclass(frozen=True)
class Scores:
    """Mean low-res Dice with a box, after one click and after three; None: no such window."""

    dice_box: float | None
    dice_click: float | None
    dice_clicks: float | None

    @property
    def mean(self) -> float:
        """Half boxes, half clicks; of the one kind that there is; 0 without any window."""
        clicks = _mean([self.dice_click, self.dice_clicks])
        return _mean([self.dice_box, clicks]) or 0.0

    def columns(self) -> dict[str, float]:
        """Those that are known, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@torch.no_grad()
def validate(model: SamMed3D, windows: Prepared, batch: int, ranks: Ranks) -> Scores:
    """Answer every window as the prompt that chose it; the same users whenever it is called.

    Parameters
    ----------
    batch
        Windows at a time.
    ranks
        The windows are shared out between them, and all get the same scores.
    """
    sums = torch.zeros(3, 2, dtype=torch.float64, device=ranks.device)
    rows = torch.arange(ranks.rank, len(windows), ranks.world)
    for number, some in enumerate(torch.split(rows, batch)):
        if not len(some):
            break
        generator = torch.Generator().manual_seed(number)
        embedding, prompts = windows.batch(some, generator, ranks.device)
        assert prompts.boxed is not None
        users = Simulation(clicks=_CLICKS, priors=0.0)
        dices = [
            dice_score(logits, prompts.targets).double()
            for logits in run(model, embedding, prompts, users, generator)
        ]
        kinds = (dices[0], prompts.boxed), (dices[0], ~prompts.boxed), (dices[-1], ~prompts.boxed)
        for row, (dice, asked) in zip(sums, kinds, strict=True):
            row += torch.stack([dice[asked].sum(), asked.sum()])
    ranks.add_up(sums)
    return Scores(*(float(total / count) if count else None for total, count in sums))


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
