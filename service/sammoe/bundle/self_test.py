"""A click that every copy of a bundle can check itself with, and what it must come to.

The exporter computes the answers with the networks and keeps samples of them in the manifest;
whoever runs the bundle compares its own. So weights, graphs, runtime and wiring are tested at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle.manifest import Manifest, ModelConfig, SelfTest
from sammoe.errors import BundleInvalid

GENERAL: Final = "general"
"""Decoder that every bundle has; the others are called as their experts."""

TOLERANCE: Final = 2e-3
"""Relative to the larger of 1 and the largest sample. Embeddings are rounded to float16: where two
runtimes differ in the last bit, some are rounded the other way, which is 1e-3 of their size."""

_SAMPLES: Final = 16  # of each output
_SEED: Final = 0


@dataclass(frozen=True, eq=False)
class CasePrompt:
    """Decoder inputs: float32 coords [1, N, 3] and mask [1, 1, L, L, L], int32 labels [1, N]."""

    coords: NDArray[np.float32]
    labels: NDArray[np.int32]
    mask: NDArray[np.float32]


class Runner(Protocol):
    """Whatever computes a bundle's answers."""

    def encode(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        """Image [1, 1, S, S, S] -> embedding [1, E, g, g, g]."""
        ...

    def logits(
        self, embedding: NDArray[np.float16], prompt: CasePrompt, decoder: str
    ) -> NDArray[np.float32]:
        """The mask of ``"general"`` or of an expert, any shape of L^3 values."""
        ...

    def scores(self, embedding: NDArray[np.float16], prompt: CasePrompt) -> NDArray[np.float32]:
        """The gate's scores [m]; asked for only where there are experts."""
        ...


def record_self_test(
    model: ModelConfig, side: int, experts: tuple[str, ...], runner: Runner
) -> SelfTest:
    """Run the case and keep samples of every output.

    Parameters
    ----------
    model, side, experts
        Sizes, side of the window in voxels, and names of the experts.
    runner
        The networks.
    """
    outputs = _answers(_SEED, model, side, experts, runner)
    samples = {name: tuple(float(f"{v:.6g}") for v in _sample(o)) for name, o in outputs.items()}
    return SelfTest(seed=_SEED, tolerance=TOLERANCE, outputs=samples)


def check_self_test(manifest: Manifest, runner: Runner) -> float:
    """Run the case again; the largest difference found, as a share of what is allowed.

    Raises
    ------
    BundleInvalid
        The manifest has no self-test, or an output differs; the detail names it.
    """
    kept = manifest.self_test
    if kept is None:
        raise BundleInvalid(f"bundle {manifest.name} has no self-test: export it again")
    experts = tuple(expert.name for expert in manifest.experts)
    outputs = _answers(kept.seed, manifest.model, manifest.window.side, experts, runner)
    if outputs.keys() != kept.outputs.keys():
        odd = ", ".join(sorted(outputs.keys() ^ kept.outputs.keys()))
        raise BundleInvalid(f"bundle {manifest.name}: the self-test does not fit its models: {odd}")
    worst = 0.0
    for name, values in outputs.items():
        found, wanted = _sample(values), np.array(kept.outputs[name])
        allowed = kept.tolerance * max(1.0, float(np.abs(wanted).max()))
        difference = float(np.abs(found - wanted).max()) if found.shape == wanted.shape else np.inf
        if not difference <= allowed:
            raise BundleInvalid(
                f"bundle {manifest.name} fails its self-test: {name} differs by {difference:.2g}"
                f" (at most {allowed:.2g} is allowed): copy or export it again"
            )
        worst = max(worst, difference / allowed)
    return worst


def _answers(
    seed: int, model: ModelConfig, side: int, experts: tuple[str, ...], runner: Runner
) -> dict[str, NDArray[np.float32]]:
    embedding = runner.encode(_image(seed, side))
    answers = {"embedding": embedding.astype(np.float32)}
    for kind, prompt in _prompts(model, side).items():
        for decoder in (GENERAL, *experts):
            answers[f"{kind}/{decoder}"] = runner.logits(embedding, prompt, decoder)
        if experts:
            answers[f"{kind}/scores"] = runner.scores(embedding, prompt)
    return answers


def _image(seed: int, side: int) -> NDArray[np.float32]:
    """A bright ball in noise, z-normalised: [1, 1, S, S, S]."""
    axis = (np.arange(side) + 0.5) / side - 0.5
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    noise = np.random.default_rng(seed).normal(size=(side,) * 3)
    image = 3.0 * (x**2 + y**2 + z**2 < 0.04) + noise
    standard: NDArray[np.float32] = ((image - image.mean()) / image.std()).astype(np.float32)
    return standard[None, None]


def _prompts(model: ModelConfig, side: int) -> Mapping[str, CasePrompt]:
    """A click on the ball and, where the networks know boxes, a box around it."""
    mask = np.zeros((1, 1) + (model.cells,) * 3, np.float32)
    click = np.array([[[side // 2] * 3, [0] * 3]], np.float32)
    prompts = {"click": CasePrompt(click, np.array([[1, -1]], np.int32), mask)}
    if model.boxes:
        box = np.array([[[round(0.3 * side)] * 3, [round(0.7 * side)] * 3]], np.float32)
        prompts["box"] = CasePrompt(box, np.array([[2, 3]], np.int32), mask)
    return prompts


def _sample(output: NDArray[np.float32]) -> NDArray[np.float64]:
    """Values spread over an output; all of a short one."""
    flat = np.asarray(output, np.float64).ravel()
    places = np.linspace(0, len(flat) - 1, min(_SAMPLES, len(flat))).round().astype(int)
    samples: NDArray[np.float64] = flat[places]
    return samples
