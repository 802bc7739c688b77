"""Train an expert: the general model's mask decoder, taught one task on prepared windows.

Encoder and prompt encoder do not learn, which is proven by their digests. Every step's prompts are
a function of seed, step and rank, so that a killed run ends where an undisturbed one does.
"""

import hashlib
import json
import time
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Never

import torch
from tqdm import tqdm

from sammoe.errors import SettingsInvalid
from sammoe.model import SamMed3D, build_sam_med3d
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.training.expert_recipe import ExpertRecipe, seeded
from sammoe.training.frozen import weights_digest
from sammoe.training.losses import dice_ce, dice_score
from sammoe.training.prepared import Prepared
from sammoe.training.ranks import Ranks
from sammoe.training.runlog import RunLog
from sammoe.training.simulation import Simulation, run
from sammoe.training.states import FILE, load_state, save_state
from sammoe.training.validation import COLUMNS, Scores, validate

_ENOUGH = 1e-4  # gain in Dice that counts as one
_NOTHING = Scores(None, None, None)
# Of older states, too: those do not say what they learnt.
_STATE = ("start", "frozen", "decoder", "average", "best", "optimiser", "scores", "step", "seconds")
_BAR = "{desc}: {percentage:3.0f}% |{bar:20}| {elapsed}, {remaining} left{postfix}"


class ExpertTrainer:
    """A run that can be killed and resumed: its state is one file, replaced whole.

    Parameters
    ----------
    model
        The bundle's networks, the decoder to start from among them; moved to the ranks' device.
    recipe, folder, ranks
        What to do; where ``state.pt`` and ``log.csv`` are written; which process this is.
    general
        The general decoder, some of whose answers users correct (default: the one to start from).
    task
        What is learnt, in words: a run of another task is not gone on with.
    """

    def __init__(
        self,
        model: SamMed3D,
        recipe: ExpertRecipe,
        folder: Path,
        ranks: Ranks | None = None,
        general: MaskDecoder | None = None,
        task: str = "",
    ) -> None:
        self.ranks = ranks or Ranks()
        self.model = model.to(self.ranks.device).requires_grad_(False).eval()
        self.recipe = recipe
        self.folder = folder
        self.task = task
        self.lesson = ""
        self.general = deepcopy(general or model.mask_decoder).to(self.ranks.device)
        self.general.requires_grad_(False).eval()
        model.mask_decoder.requires_grad_(True)
        model.mask_decoder.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.frozen = self._frozen()
        self.averaged = _with_decoder(model, deepcopy(model.mask_decoder).requires_grad_(False))
        self.optimiser = torch.optim.AdamW(
            model.mask_decoder.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        self.start = weights_digest(model.mask_decoder)
        self.best = deepcopy(self.averaged.mask_decoder.state_dict())
        self.scores: list[Scores] = []
        self.step = 0
        self.seconds = 0.0
        self.progress = 0.0

    def train(self, windows: Prepared, calibrate: Prepared) -> MaskDecoder:
        """Run to the end; returns the best averaged decoder, in eval mode.

        Parameters
        ----------
        windows
            To learn from.
        calibrate
            Of other patients: the weights that answer them best are kept. It may be empty, then
            the last ones are.

        Raises
        ------
        RuntimeError
            What must not learn has changed.
        """
        self.lesson = self._lesson(windows, calibrate)
        if self.ranks.first:
            log = RunLog(self.folder, ["seconds", "lr", "answers", "loss", "dice", *COLUMNS])
            log.cut(self.step)
            self._run(windows, calibrate, log)
            log.close()
        else:
            self._run(windows, calibrate, None)
        if self._frozen() != self.frozen:
            raise RuntimeError("encoder or prompt encoder changed while only the decoder may learn")
        self.averaged.mask_decoder.load_state_dict(self.best)
        return self.averaged.mask_decoder

    def _run(self, windows: Prepared, calibrate: Prepared, log: RunLog | None) -> None:
        """``log``: of the first process alone."""
        started, before = time.monotonic(), self.seconds
        if not self.scores:
            self._look(calibrate)
        with self._bar() as bar:
            while self.progress < 1 and not self._stuck():
                values = self._learn(windows)
                self.step += 1
                self.seconds = before + time.monotonic() - started
                self.progress = self.ranks.agree(self.recipe.progress(self.step, self.seconds))
                look = self.step % self.recipe.every == 0 or self.progress == 1
                if look:
                    self._look(calibrate)
                    values |= self.scores[-1].columns()
                if log is not None:
                    log.write(self.step, {"seconds": self.seconds} | values)
                    if look:
                        self.save()
                bar.set_postfix_str(
                    f"step {self.step}, loss {values['loss']:.3f}, Dice {values['dice']:.3f},"
                    f" calibrate {self.scores[-1].mean:.3f}",
                    refresh=False,
                )
                bar.update(self.progress - bar.n)

    def _bar(self) -> "tqdm[Never]":
        silent = None if self.ranks.first else True
        return tqdm(
            desc="expert", total=1.0, initial=self.progress, bar_format=_BAR, disable=silent
        )

    def _learn(self, windows: Prepared) -> dict[str, float]:
        recipe, device = self.recipe, self.ranks.device
        rate = recipe.rate(self.step, self.progress)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        answers = self._answers()
        generator = seeded(recipe.seed, self.step, self.ranks.rank)
        rows = torch.randint(len(windows), (recipe.batch,), generator=generator)
        embedding, batch = windows.batch(rows, generator, device)
        self.optimiser.zero_grad(set_to_none=True)
        losses = 0.0
        # Without its cache of cast weights, for each answer has a graph of its own.
        with torch.autocast(
            device.type, torch.bfloat16, enabled=recipe.bfloat16, cache_enabled=False
        ):
            users = Simulation(clicks=answers, priors=recipe.priors, others=recipe.others)
            for logits in run(self.model, embedding, batch, users, generator, self.general):
                loss = dice_ce(logits, batch.targets)
                loss.backward()  # type: ignore[no-untyped-call]
                losses += float(loss.detach())
        parameters = list(self.model.mask_decoder.parameters())
        self.ranks.average_gradients(parameters)
        # bfloat16 kernels now and then return NaN on a CPU; such a step teaches nothing.
        if torch.nn.utils.clip_grad_norm_(parameters, 1.0).isfinite():
            self.optimiser.step()
            self._average()
        dice = float(dice_score(logits.detach(), batch.targets).mean())
        return {"lr": rate, "answers": answers, "loss": losses / answers, "dice": dice}

    def _answers(self) -> int:
        """Of this step's users, on all ranks alike."""
        weights = 1 / torch.arange(1.0, self.recipe.points + 1)
        generator = seeded(self.recipe.seed, self.step)
        return 1 + int(torch.multinomial(weights, 1, generator=generator))

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.recipe.average, (self.step + 1) / (self.step + 10))
        for mine, theirs in zip(
            self.averaged.mask_decoder.parameters(),
            self.model.mask_decoder.parameters(),
            strict=True,
        ):
            mine.lerp_(theirs, 1 - decay)

    def _look(self, calibrate: Prepared) -> None:
        """Score the averaged weights, and keep them if they are the best so far."""
        scores = validate(self.averaged, calibrate, self.recipe.batch, self.ranks)
        self.scores.append(scores)
        if not len(calibrate) or self.best_look() == len(self.scores) - 1:
            self.best = deepcopy(self.averaged.mask_decoder.state_dict())

    def best_look(self) -> int:
        """The last one that gained; without windows to look at, always the last."""
        best = 0
        for number, scores in enumerate(self.scores):
            if scores == _NOTHING or scores.mean > self.scores[best].mean + _ENOUGH:
                best = number
        return best

    def _stuck(self) -> bool:
        return len(self.scores) - 1 - self.best_look() >= self.recipe.patience

    def _frozen(self) -> str:
        parts = (self.model.image_encoder, self.model.prompt_encoder)
        return " ".join(weights_digest(part) for part in parts)

    def _lesson(self, windows: Prepared, calibrate: Prepared) -> str:
        """Digest of all that the weights are a function of, beside where and when they start and
        end."""
        recipe = asdict(self.recipe)
        del recipe["steps"], recipe["minutes"]
        words = [self.task, recipe, windows.digest(), calibrate.digest()]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()

    def save(self) -> None:
        """Write the state."""
        state = {
            "start": self.start,
            "lesson": self.lesson,
            "frozen": self.frozen,
            "decoder": self.model.mask_decoder.state_dict(),
            "average": self.averaged.mask_decoder.state_dict(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "scores": [(s.dice_box, s.dice_click, s.dice_clicks) for s in self.scores],
            "step": self.step,
            "seconds": self.seconds,
        }
        save_state(self.folder, state)

    def resume(self, windows: Prepared, calibrate: Prepared) -> bool:
        """Take up the state in the folder, if there is one; parameters as in :meth:`train`.

        Raises
        ------
        SettingsInvalid
            It is damaged; or it is that of another kind of run, or of one with other networks, from
            another decoder, of another task or recipe, or on other windows.
        """
        state = load_state(self.folder, _STATE, self.ranks.device)
        if state is None:
            return False
        lesson = self._lesson(windows, calibrate)
        if (state["start"], state["frozen"]) != (self.start, self.frozen):
            self._refuse("began with other weights")
        if state.get("lesson", lesson) != lesson:
            self._refuse("learnt another task, from other scans, or by another recipe")
        self.model.mask_decoder.load_state_dict(state["decoder"])
        self.averaged.mask_decoder.load_state_dict(state["average"])
        self.best = state["best"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.scores = [Scores(*values) for values in state["scores"]]
        self.step, self.seconds = state["step"], state["seconds"]
        self.progress = self.recipe.progress(self.step, self.seconds)
        return True

    def _refuse(self, why: str) -> Never:
        raise SettingsInvalid(
            f"{self.folder / FILE} is of a run that {why}: remove it to begin anew, or choose"
            " another folder with --out"
        )


def _with_decoder(model: SamMed3D, decoder: MaskDecoder) -> SamMed3D:
    """The same encoders with another decoder."""
    with torch.device("meta"):
        other = build_sam_med3d(model.config)
    other.image_encoder, other.prompt_encoder = model.image_encoder, model.prompt_encoder
    other.mask_decoder = decoder
    return other.eval()
