"""What two interpreters compare: seeded cases of the selector's arithmetic. Imports numpy alone."""

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

CASES, SIDE, CELLS = 60, 32, 16


def digest(path: Path) -> str:
    """SHA-256 over what the module at ``path`` makes of seeded cases of every kind."""
    selector = load(path)
    random, sha = np.random.default_rng(5), hashlib.sha256()
    for case in range(CASES):
        general, expert = (
            smooth(random.normal(-1, 4, (CELLS,) * 3).astype(np.float32)) for _ in range(2)
        )
        coords = random.uniform(-0.5, SIDE - 0.5, (1, 4, 3)).astype(np.float32)
        labels = np.array([[[1, -1, -1, -1], [1, 0, 1, -1], [1, 0, 2, 3]][case % 3]], np.int32)
        coords[0, 2:] = np.sort(coords[0, 2:], axis=0)
        scores = random.uniform(0, 1, 3).astype(np.float32)
        kind = selector.prompt_kind(labels)
        allowed = [True, case % 2 == 0, True]
        best = selector.select(scores, 0.1, allowed)
        routing = SimpleNamespace(
            tau={kind: 0.2},
            slack={kind: 9.0},
            own_slack={"1": {kind: 0.5}},
            fusion=("probability", "logit")[case // 3 % 2],
        )
        made = selector.decide(
            *(general, expert, best.s_top, kind, coords, labels, SIDE, routing, None),
            name=str(best.index),
        )
        misfits = [selector.misfit(mask, coords, labels, SIDE) for mask in (general, expert)]
        close = selector.rival(scores, best, allowed, kind)
        second = close and [close.index, close.margin]
        won = close and selector.wins(close, general, expert, coords, labels, SIDE)
        said = [
            second,
            won,
            best.index,
            best.s_top,
            made.fused,
            made.check,
            made.agreement,
            misfits,
        ]
        sha.update(json.dumps(said).encode())
        sha.update(made.logits.astype(np.float32, casting="no").tobytes())
    return sha.hexdigest()


def load(path: Path) -> Any:
    """The module by itself: nothing of ours is installed beside it."""
    spec = importlib.util.spec_from_file_location("selector", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["selector"] = module
    spec.loader.exec_module(module)
    return module


def smooth(logits: Any) -> Any:
    """Blobs instead of noise, so that boxes have something to fit."""
    for axis in range(3):
        logits = logits + np.roll(logits, 1, axis) + np.roll(logits, 2, axis)
    return logits
