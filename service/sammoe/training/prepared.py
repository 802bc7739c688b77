"""Windows of labelled scans with their embeddings, made once and kept on disk.

The encoder is frozen, so a window's embedding never changes: it is computed when the window is
drawn and rounded to fp16, as in serving. One file per case, named by everything that it is a
function of; a run that was killed goes on at the case where it was.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from sammoe.errors import DataSetInvalid, NoForeground
from sammoe.model.files import save_tensors
from sammoe.model.image_encoder import ImageEncoder
from sammoe.training.caches import from_cache
from sammoe.training.datasets import Case
from sammoe.training.frozen import weights_digest
from sammoe.training.mixture import Batch
from sammoe.training.views import View, body, random_views, target_views
from sammoe.volume.window import Window, WindowRule

_VERSION = 1  # of what is in a file
_TENSORS = ("embeddings", "targets", "clicks", "boxes", "boxed")
_NO_CASE = torch.empty(0, dtype=torch.long)


@dataclass(frozen=True)
class Prepared:
    """W windows of prompts that mean a target; K places of a first click in each. W may be 0.

    Attributes
    ----------
    embeddings
        float16 [W, E, g, g, g].
    targets
        float16 [W, L, L, L]: share of each cell that the target fills.
    clicks
        float32 [W, K, 3], window voxels: places in the target. Where ``boxed`` is False, serving
        answers each of them, as a first click, in this very window.
    boxes
        float32 [W, 6], window voxels: first and last corner of the exact box, cut to the window.
    boxed
        bool [W]: a box chose the window.
    case
        int64 [W]: index into ``names``.
    names
        Of the cases, those without the target included.
    """

    embeddings: Tensor
    targets: Tensor
    clicks: Tensor
    boxes: Tensor
    boxed: Tensor
    case: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.embeddings)

    def batch(
        self, rows: Tensor, generator: torch.Generator, device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Batch]:
        """Embeddings float32 [B, E, g, g, g] and prompts of some windows, one prompt each.

        Parameters
        ----------
        rows
            int64 [B].
        generator
            On the CPU: which of the K places is clicked.
        """
        place = torch.randint(self.clicks.shape[1], (len(rows),), generator=generator)
        batch = Batch(
            torch.empty(0),
            self.targets[rows].float().to(device),
            self.clicks[rows, place].to(device),
            self.boxes[rows].to(device),
            self.boxed[rows].to(device),
        )
        return self.embeddings[rows].to(device).float(), batch

    def digest(self) -> str:
        """SHA-256 (hex) of all that is learnt from."""
        digest = hashlib.sha256()
        for name in _TENSORS:
            value: Tensor = getattr(self, name)
            digest.update(f"{name}{tuple(value.shape)}".encode())
            digest.update(value.contiguous().numpy().data)
        return digest.hexdigest()


@dataclass(frozen=True)
class RandomWindows:
    """W windows of prompts that mean nothing in particular.

    Attributes
    ----------
    embeddings, clicks, boxed, case, names
        As in `Prepared`; the places are anywhere in the body.
    boxes
        float32 [W, 6]: a random box around a place in the body, cut to the window.
    foreground
        bool [W, L, L, L]: cells in the body, outside of the classes to avoid.
    domain
        int64 [W]: index into ``domains``.
    domains
        Names of the cases' data sets.
    """

    embeddings: Tensor
    clicks: Tensor
    boxes: Tensor
    boxed: Tensor
    foreground: Tensor
    case: Tensor
    names: tuple[str, ...]
    domain: Tensor
    domains: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.embeddings)


def prepare(
    encoder: ImageEncoder,
    cases: Sequence[Case],
    classes: Sequence[str],
    rule: WindowRule,
    *,
    windows: int,
    seed: int,
    augment: bool,
    cache: Path,
    title: str,
) -> Prepared:
    """Windows as serving cuts them for prompts that mean the union of ``classes``.

    Parameters
    ----------
    encoder
        In eval mode; used where it lies.
    cases
        Those without any of the classes give no window.
    windows
        For each case: by a first click and by a box (exact or jittered) in turn.
    seed
        A case's windows are a function of it and of the case's name.
    augment
        Whether each window shows the scan as another patient's, see `augmented`.
    cache
        Folder of the files.
    title
        Of the progress bar.

    Raises
    ------
    DataSetInvalid
        A scan or label file can not be used, or shows nothing around the target.
    """

    def draw(case: Case) -> Iterable[View]:
        image = case.read_image()
        found = list(case.read_masks(image, classes).values())
        if not found:
            return ()
        mask, rng = np.logical_or.reduce(found), _rng(case, seed)
        return target_views(image, mask, rule, windows=windows, rng=rng, augment=augment)

    key = ["target", sorted(classes), windows, seed, augment]
    made = _prepare(encoder, cases, key, rule, cache, title, draw, shared=not augment)
    return Prepared(**made, names=tuple(case.name for case in cases))


def prepare_random(
    encoder: ImageEncoder,
    cases: Sequence[Case],
    rule: WindowRule,
    *,
    windows: int,
    seed: int,
    cache: Path,
    avoid: Sequence[str] = (),
    title: str = "random prompts",
) -> RandomWindows:
    """Windows of random places in the body, by click and by box in turn.

    Parameters
    ----------
    avoid
        Classes in which no place may lie; a case in which none of them can be labelled is used
        whole, and its label files are not read.

    Others as in `prepare`, which see also for what is raised.
    """

    def draw(case: Case) -> Iterable[View]:
        image = case.read_image()
        allowed = body(image)
        if any(name in case.labels for name in avoid):
            for mask in case.read_masks(image, avoid).values():
                allowed &= ~mask
        if not allowed.any():
            return ()
        return random_views(image, allowed, rule, windows=windows, rng=_rng(case, seed))

    key = ["random", sorted(avoid), windows, seed]
    made = _prepare(encoder, cases, key, rule, cache, title, draw, shared=True)
    domains = tuple(sorted({case.dataset for case in cases}))
    of_case = torch.tensor([domains.index(case.dataset) for case in cases])
    made["foreground"] = made.pop("targets") > 0.5
    names = tuple(case.name for case in cases)
    return RandomWindows(**made, names=names, domain=of_case[made["case"]], domains=domains)


def _prepare(
    encoder: ImageEncoder,
    cases: Sequence[Case],
    key: list[Any],
    rule: WindowRule,
    cache: Path,
    title: str,
    draw: Callable[[Case], Iterable[View]],
    *,
    shared: bool,
) -> dict[str, Tensor]:
    cache.mkdir(parents=True, exist_ok=True)
    key = [_VERSION, weights_digest(encoder), asdict(rule), *key]
    parts = []
    for number, case in enumerate(tqdm(cases, desc=title, unit="case", disable=None)):
        path = cache / f"{_digest([key, _sources(case)])}.safetensors"
        part = from_cache(path)
        if part is None:
            try:
                content = _encode(encoder, list(draw(case)), rule, shared=shared)
            except NoForeground as error:
                raise DataSetInvalid(f"{case.image}: {error.detail}") from error
            save_tensors(path, content)
            part = load_file(path)
        part["case"] = torch.full((len(part["embeddings"]),), number)
        parts.append(part)
    # torch.cat takes no empty list, and nothing empty beside what has another shape.
    shown = [part for part in parts if len(part["case"])] or [{**_nothing(), "case": _NO_CASE}]
    return {name: torch.cat([part[name] for part in shown]) for name in [*_TENSORS, "case"]}


def _nothing() -> dict[str, Tensor]:
    return {name: torch.empty(0) for name in _TENSORS}


@torch.no_grad()
def _encode(
    encoder: ImageEncoder, views: Sequence[View], rule: WindowRule, *, shared: bool
) -> dict[str, Tensor]:
    """Tensors of a case's file. ``shared``: equal windows show the same."""
    if not views:
        return _nothing()
    device = next(encoder.parameters()).device
    known: dict[Window, Tensor] = {}
    embeddings = []
    for view in views:
        if not shared or view.window not in known:
            image = torch.from_numpy(view.image)[None, None].to(device)
            known[view.window] = encoder(image)[0].half().cpu()
        embeddings.append(known[view.window])
    return {
        "embeddings": torch.stack(embeddings),
        "targets": torch.from_numpy(np.stack([v.target for v in views])).half().contiguous(),
        "clicks": torch.from_numpy(np.stack([v.clicks for v in views])),
        "boxes": torch.from_numpy(np.stack([v.box for v in views])),
        "boxed": torch.tensor([v.boxed for v in views]),
    }


def _rng(case: Case, seed: int) -> np.random.Generator:
    name = hashlib.sha256(f"{case.dataset}/{case.name}".encode()).digest()[:8]
    return np.random.default_rng([seed, int.from_bytes(name)])


def _sources(case: Case) -> list[Any]:
    """What tells that a case's files have changed: names, sizes, times, and what labels mean."""
    labels = {name: [str(s.path), sorted(s.values)] for name, s in case.labels.items()}
    paths = sorted({case.image, *(source.path for source in case.labels.values())})
    try:
        files = [[str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns] for p in paths]
    except OSError as error:
        raise DataSetInvalid(f"{error.filename} can not be read: {error.strerror}") from error
    return [case.dataset, case.name, case.modality.value, labels, files]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:24]
