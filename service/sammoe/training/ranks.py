"""One process or several, as torchrun starts them: equal weights everywhere, rank 0 writes."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn

from sammoe.errors import SettingsInvalid

_CPU = torch.device("cpu")
_PATIENCE = timedelta(hours=12)  # rank 0 may prepare a whole data set while the others wait


@dataclass(frozen=True)
class Ranks:
    """This process among those of a run.

    Attributes
    ----------
    device
        That this process computes on.
    rank, world
        Its number, and how many there are.
    """

    device: torch.device = _CPU
    rank: int = 0
    world: int = 1

    @classmethod
    def start(cls, device: str) -> "Ranks":
        """Join the other processes, if torchrun's variables say that there are any.

        Parameters
        ----------
        device
            ``cpu``, ``cuda`` (several processes: one GPU each), ``cuda:1``, or ``auto``: a GPU
            where there is one.

        Raises
        ------
        SettingsInvalid
            This machine has no such device.
        """
        place, world = device_of(device), int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls(place)
        if place.type == "cuda":
            place = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(place)
        backend = "nccl" if place.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=_PATIENCE)
        return cls(place, distributed.get_rank(), world)

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give all processes the mean of their gradients, in one exchange."""
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.world
        means = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def add_up(self, sums: torch.Tensor) -> None:
        """Replace a tensor, in place, by its sum over all processes."""
        if self.world > 1:
            distributed.all_reduce(sums)

    def agree(self, value: float) -> float:
        """Rank 0's value, on all of them."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, 0)
        return float(shared)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            distributed.barrier()

    def stop(self) -> None:
        """Leave the others."""
        if self.world > 1:
            distributed.destroy_process_group()


def device_of(name: str) -> torch.device:
    """The device of that name; see `Ranks.start`."""
    gpus = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if gpus else "cpu")
    try:
        place = torch.device(name)
        missing = place.type == "cuda" and not gpus
        missing |= place.index is not None and place.index >= max(1, torch.cuda.device_count())
    except RuntimeError:
        missing = True
    if missing:
        raise SettingsInvalid(
            f"this machine has no device {name!r} to train on: give --device cpu, cuda or cuda:1"
        )
    return place
