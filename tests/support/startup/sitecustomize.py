"""Coverage that looks away while others' modules are imported.

Python runs this file at its start where it finds it, and tests put its folder into ``PYTHONPATH``
where coverage is counted (``tests/conftest.py``). Nothing of ours runs while a module of Python or
of a package is imported, but tracing that made the start of a service half as slow again.
"""

import os
import sys
import sysconfig
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any, Final

_OTHERS: Final = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "purelib"))
_execute: Final[Any] = SourceFileLoader.exec_module


def _execute_untraced(loader: SourceFileLoader, module: ModuleType) -> None:
    trace = sys.gettrace()
    if trace is None or not loader.path.startswith(_OTHERS):
        _execute(loader, module)
        return
    sys.settrace(None)
    try:
        _execute(loader, module)
    finally:
        sys.settrace(trace)


if "COVERAGE_PROCESS_CONFIG" in os.environ:
    SourceFileLoader.exec_module = _execute_untraced  # type: ignore[assignment, method-assign]
