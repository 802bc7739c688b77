"""How ONNX Runtime runs a graph. Everything that could change a bit of an answer is set here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from sammoe.errors import BundleInvalid, EngineError, EngineOutputInvalid


@dataclass(frozen=True)
class OutputSpec:
    """Name, dtype and shape (with the batch axis of 1) that an output must have."""

    name: str
    dtype: type[np.generic]
    shape: tuple[int, ...]


_SPIN_MICROSECONDS: Final = "50"
"""How long a thread looks for work before it sleeps: from one operator to the next, for to wake it
takes longer than many an operator does; not longer, for other graphs want the cores.
"""


class Graph:
    """One ONNX file, loaded for the CPU, with its outputs checked on every run.

    Parameters
    ----------
    path
        The ``model.onnx``.
    outputs
        What is asked for and what it must look like.
    threads
        Threads within one operator.

    Raises
    ------
    BundleInvalid
        The file is no graph that ONNX Runtime can load, or lacks an output; the detail names it.
    """

    def __init__(self, path: Path, outputs: Sequence[OutputSpec], *, threads: int) -> None:
        self._path = path
        self._outputs = tuple(outputs)
        self._names = [output.name for output in outputs]
        try:
            self._session = ort.InferenceSession(
                path, _session_options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own exceptions have no common public base.
            raise BundleInvalid(f"{path} can not be loaded: {_first_line(error)}") from error
        missing = {*self._names} - {output.name for output in self._session.get_outputs()}
        if missing:
            raise BundleInvalid(f"{path} has no output {', '.join(sorted(missing))}")

    def run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Run the graph; outputs in the order asked for.

        Raises
        ------
        EngineError
            ONNX Runtime failed.
        EngineOutputInvalid
            An output has a wrong shape or dtype, or holds NaN or Inf.
        """
        values = self._run(feed)
        for spec, value in zip(self._outputs, values, strict=True):
            self._check_form(spec, value)
            if not np.isfinite(value).all():
                raise EngineOutputInvalid(
                    f"The model answered with NaN or Inf in {spec.name} of {self._path.parts[-3]}."
                )
        return values

    def warm_up(self, feed: Mapping[str, NDArray[Any]]) -> None:
        """Run once, so that the first user does not pay for memory and code being set up.

        Raises
        ------
        BundleInvalid
            The graph does not take these inputs, or an output has a wrong shape or dtype.
        """
        try:
            values = self._run(feed)
            for spec, value in zip(self._outputs, values, strict=True):
                self._check_form(spec, value)
        except EngineError as error:
            raise BundleInvalid(f"{self._path} does not fit the manifest: {error}") from error

    def _run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        try:
            values: list[NDArray[Any]] = self._session.run(self._names, dict(feed))
        except Exception as error:
            raise EngineError(f"The model could not be run: {_first_line(error)}") from error
        return values

    def _check_form(self, spec: OutputSpec, value: NDArray[Any]) -> None:
        if value.shape != spec.shape or value.dtype != spec.dtype:
            raise EngineOutputInvalid(
                f"{spec.name} of {self._path.parts[-3]} is {value.dtype} {value.shape}, not"
                f" {np.dtype(spec.dtype)} {spec.shape}."
            )


@cache
def _share_memory() -> None:
    """One arena for all graphs of this process, in place of one for each: with many experts, what
    lies free in theirs would be more than their weights.
    """
    kinds = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, ort.OrtMemType.DEFAULT
    where = ort.OrtMemoryInfo("Cpu", kinds[0], 0, kinds[1])
    ort.create_and_register_allocator(where, None)


def _session_options(threads: int) -> ort.SessionOptions:
    _share_memory()
    options = ort.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN_MICROSECONDS)
    options.log_severity_level = 3
    return options


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
