"""Each graph is made once in a run: of equal networks it is the same (`export/test_bundles.py`)."""

import hashlib
from collections.abc import Iterator

import pytest

from sammoe.export import bundles, making, rewriting
from sammoe.export.making import Made
from sammoe.export.parts import Part

_made: dict[str, Made] = {}


@pytest.fixture(scope="module", autouse=True)
def made_once() -> Iterator[None]:
    """Bundles take graphs that were made before; `making.make` itself makes them anew."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (bundles, rewriting):
            patch.setattr(module, "make", make_once)
        yield


def make_once(plain: str, part: Part, *, half: bool) -> Made:
    """`making.make`, or what it gave for the same network, inputs and outputs."""
    name = _digest(plain, part, half)
    if name not in _made:
        _made[name] = making.make(plain, part, half=half)
    return _made[name]


def _digest(plain: str, part: Part, half: bool) -> str:
    """Of all that a graph depends on."""
    kind = plain if plain in {"image_encoder", "gate"} else "decoder"
    digest = hashlib.sha256(repr([kind, part.module, part.config(), half]).encode())
    tensors = [*part.module.state_dict().items()]
    tensors += [pair for example in part.examples for pair in example.items()]
    for name, tensor in tensors:
        values = tensor.detach().numpy()
        digest.update(repr([name, values.shape, values.dtype]).encode() + values.tobytes())
    return digest.hexdigest()
