"""The selector's module must run where nothing of ours is installed."""

import ast
from pathlib import Path

import pytest

import sammoe

ROOT = Path(sammoe.__file__).parent


def imports(path: Path) -> set[str]:
    """Names of the modules that a file imports, from anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("engine/selector.py", {"numpy"}),
        (
            "engine/selector_model.py",
            {".selector", "numpy", "triton_python_backend_utils"},
        ),
        ("tritonserver/standin.py", {"numpy", "onnxruntime", "triton_python_backend_utils"}),
    ],
)
def test_it_imports_no_more_than_triton_has(name: str, allowed: set[str]) -> None:
    standard = {
        "asyncio",
        "collections",
        "contextlib",
        "dataclasses",
        "hashlib",
        "importlib",
        "json",
        "math",
        "pathlib",
        "types",
    }
    assert imports(ROOT / name) <= allowed | standard | {"typing"}
