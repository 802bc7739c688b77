"""TensorRT reads and builds every graph that bundles are made of: ``make check-tensorrt``.

Without a GPU, by TensorRT for RTX, whose plans Triton does not load: this shows that a graph can be
read and built, not what it answers. The graphs are those of the demo's networks, with each form of
gate, and those of official size with random weights, in float32 and with products in float16. Exits
1 when one can not be built.
"""

import site
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from loadtests.networks import random_vit_b
from sammoe.bundle import load_bundle
from sammoe.errors import BundleInvalid
from sammoe.export import load_networks
from sammoe.export.parts import Part, expert_part, gate_part, parts_of
from sammoe.export.plan_building import build_plan
from sammoe.export.plans import graph_of
from sammoe.model import SamMed3D
from sammoe.model.gate import PaperGate

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ".venv-tensorrt/lib/python3.*/site-packages"


def main() -> int:
    """A line for each graph."""
    trt = find_rtx()
    print(f"TensorRT for RTX {trt.__version__}, no GPU needed")
    failed = 0
    for size, parts in (("demo", demo_parts()), ("vit_b", official_parts())):
        for plain, part in parts.items():
            for half in (False, True):
                began = time.monotonic()
                try:
                    plan = build_plan(trt, plain, graph_of(plain, part, half=half))
                except BundleInvalid as error:
                    failed += 1
                    print(f"  {size:6} {error}")
                else:
                    kind, seconds = "float16" if half else "float32", time.monotonic() - began
                    print(
                        f"  {size:6} {plain:16} {kind} {len(plan) / 1e6:6.1f} MB, {seconds:5.1f} s"
                    )
    print("every graph can be built" if not failed else f"{failed} graphs can not be built")
    return 1 if failed else 0


def find_rtx() -> Any:
    """From its own environment: it is looked for last, and brings nothing else."""
    for packages in ROOT.glob(PACKAGES):
        site.addsitedir(str(packages))
    return import_module("tensorrt_rtx_bindings")


def demo_parts() -> Mapping[str, Part]:
    """The demo bundle's, but one expert for all, which differ in nothing but weights."""
    networks = load_networks(load_bundle(ROOT / "model_repo"))
    names, gate = list(networks.experts), networks.gate
    assert gate is not None
    return {
        **parts_of(networks.model, [], None),
        "decoder_expert": expert_part(networks.model, networks.experts[names[0]]),
        "gate": gate_part(networks.model, gate, names),
        "gate (joint)": joint_gate(networks.model),
    }


def official_parts() -> Mapping[str, Part]:
    """Of official size."""
    model = random_vit_b()
    return {
        **parts_of(model, [], None),
        "decoder_expert": expert_part(model, model.mask_decoder),
        "gate (joint)": joint_gate(model),
    }


def joint_gate(model: SamMed3D) -> Part:
    """A gate that reads what decoders read."""
    return gate_part(model, PaperGate(model.config, 3, none_of_them=True).eval(), ["a", "b", "c"])


if __name__ == "__main__":
    sys.exit(main())
