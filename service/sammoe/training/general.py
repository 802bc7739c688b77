"""Train a general model from scratch: encoder, prompt encoder and decoder together."""

import csv
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from tqdm import tqdm

from sammoe.model import SamMed3D, build_sam_med3d
from sammoe.training.losses import dice_ce, dice_score
from sammoe.training.mixture import Batch, Mixture
from sammoe.training.simulation import Simulation, run
from sammoe.training.states import load_state, save_state

_CPU = torch.device("cpu")
_STATE = ("model", "average", "optimiser", "generator", "step", "seconds")


@dataclass(frozen=True)
class Recipe:
    """Everything that a run is a function of, beside its data.

    Parameters
    ----------
    steps, images, prompts
        Optimiser steps, images a step, prompts an image (they share one encoder pass).
    lr, weight_decay, warmup
        AdamW's; cosine to 2 % of ``lr``, linear warm-up over the first ``warmup`` steps.
    average
        Decay of the exponential moving average of the weights, which is what a run returns.
    simulation
        Of users.
    seed
        Of weights, data and clicks.
    bfloat16
        Whether to run under autocast (for processors with matrix units for it).
    """

    steps: int = 3000
    images: int = 8
    prompts: int = 2
    lr: float = 1e-3
    weight_decay: float = 0.02
    warmup: int = 100
    average: float = 0.998
    simulation: Simulation = field(default_factory=Simulation)
    seed: int = 0
    bfloat16: bool = False

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        progress = min(1.0, step / self.steps)
        cosine = 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * progress))
        return self.lr * cosine * min(1.0, (step + 1) / self.warmup)


class GeneralTrainer:
    """A run that can be killed and resumed: its state is one file, replaced whole.

    Parameters
    ----------
    model
        Moved to ``device``, where all is computed but random numbers: those are the CPU's.
    """

    def __init__(
        self, model: SamMed3D, recipe: Recipe, folder: Path, device: torch.device = _CPU
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.device = device
        self.model = model.to(device)
        self.recipe = recipe
        self.folder = folder
        self.average = build_sam_med3d(model.config).to(device)
        self.average.load_state_dict(model.state_dict())
        self.optimiser = torch.optim.AdamW(
            model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.step = 0
        self.seconds = 0.0

    def train(self, mixture: Mixture, workers: int, save_every: int = 200) -> SamMed3D:
        """Run to the recipe's last step; returns the averaged model in eval mode, on the CPU."""
        batches: Iterable[Batch] = mixture.loader(workers)
        bar = tqdm(total=self.recipe.steps, initial=self.step, unit="step", desc="general")
        started, before = time.monotonic(), self.seconds
        for batch in batches:
            if self.step >= self.recipe.steps:
                break
            losses, dices = self._learn(batch)
            self.step += 1
            self.seconds = before + time.monotonic() - started
            bar.update()
            bar.set_postfix(loss=f"{sum(losses) / len(losses):.3f}", dice=f"{dices[-1]:.3f}")
            self._log(losses, dices)
            if self.step % save_every == 0:
                self.save()
        bar.close()
        self.save()
        return self.average.cpu().eval()

    def _learn(self, batch: Batch) -> tuple[list[float], list[float]]:
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        losses, dices = [], []
        batch = batch.to(self.device)
        autocast = torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.recipe.bfloat16
        )
        with autocast:
            embedding = self.model.image_encoder(batch.image)
            answers = run(self.model, embedding, batch, self._users(), self.generator)
            total = torch.zeros((), device=self.device)
            for logits in answers:
                loss = dice_ce(logits, batch.targets)
                total = total + loss
                losses.append(float(loss.detach()))
                dices.append(float(dice_score(logits.detach(), batch.targets).mean()))
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        # bfloat16 kernels now and then return NaN on a CPU; such a step teaches nothing.
        if torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0).isfinite():
            self.optimiser.step()
            self._update_average()
        return losses, dices

    def _update_average(self) -> None:
        decay = min(self.recipe.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for mine, theirs in zip(
                self.average.state_dict().values(), self.model.state_dict().values(), strict=True
            ):
                mine.lerp_(theirs, 1 - decay)

    def _users(self) -> Simulation:
        """Users of this step: they give up after one answer, or two, or at the recipe's last."""
        most = self.recipe.simulation.clicks
        clicks = int(torch.randint(1, most + 1, (1,), generator=self.generator))
        return replace(self.recipe.simulation, clicks=clicks)

    def _log(self, losses: list[float], dices: list[float]) -> None:
        path, most = self.folder / "log.csv", self.recipe.simulation.clicks
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if not file.tell():
                answers = range(1, most + 1)
                names = [f"loss_{i}" for i in answers] + [f"dice_{i}" for i in answers]
                writer.writerow(["step", "seconds", *names])
            missing = [""] * (most - len(losses))
            values = [f"{v:.4f}" for v in losses] + missing + [f"{v:.4f}" for v in dices]
            writer.writerow([self.step, f"{self.seconds:.1f}", *values])

    def save(self) -> None:
        """Write the state."""
        state = {
            "config": self.model.config.to_dict(),
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }
        save_state(self.folder, state)

    def resume(self) -> bool:
        """Take up the state in the folder, if there is one.

        Raises
        ------
        SettingsInvalid
            It is damaged, or of another kind of run.
        """
        state = load_state(self.folder, _STATE, self.device)
        if state is None:
            return False
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"].cpu())
        self.step, self.seconds = state["step"], state["seconds"]
        return True
