"""A real Triton server on this machine, from PyPI's packages in an environment of their own.

The server that ``nvidia-pytriton`` brings has one backend, Python's. Stand-ins written for it take
the names of the two that bundles ask for, so that the very files that NVIDIA's container serves are
served here, on the CPU.
"""

from sammoe.tritonserver.environment import find_environment
from sammoe.tritonserver.starting import Ports, Start, prepare

__all__ = ["Ports", "Start", "find_environment", "prepare"]
