"""Regions of CUDA's memory, in front of a module that stands for the driver; and who gets one."""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from sammoe.engine import triton_owners
from sammoe.engine import triton_shared as shared
from sammoe.engine.triton_regions import CudaRegion
from sammoe.engine.triton_shared import RegionUnknown, SharedInputs, shared_inputs
from sammoe.errors import SettingsInvalid

CUDA = "tritonclient.utils.cuda_shared_memory"


class FakeCuda(ModuleType):
    """Keeps what is written into each region of GPU 0."""

    class CudaSharedMemoryException(Exception):
        """As the real one."""

    def __init__(self) -> None:
        super().__init__(CUDA)
        self.free = 1 << 20
        self.written: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}

    def create_shared_memory_region(self, name: str, size: int, device: int) -> str:
        assert device == 0
        if size > self.free:
            raise self.CudaSharedMemoryException("out of memory")
        self.free -= size
        self.sizes[name] = size
        self.written[name] = b""
        return name

    def get_raw_handle(self, handle: str) -> bytes:
        return handle.encode()

    def set_shared_memory_region(self, handle: str, values: "list[NDArray[Any]]") -> None:
        self.written[handle] = b"".join(value.tobytes() for value in values)

    def destroy_shared_memory_region(self, handle: str) -> None:
        del self.written[handle]
        self.free += self.sizes.pop(handle)


class FakeClient:
    """A server that maps what it is told of, and refuses for a reason if it is given one."""

    def __init__(self) -> None:
        self.known: dict[str, bytes] = {}
        self.refusal: InferenceServerException | None = None
        self.in_use = 0
        """How often it says so before it forgets a region."""

    async def register_cuda_shared_memory(
        self, name: str, raw: bytes, device: int, size: int, client_timeout: float
    ) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.known[name] = raw

    async def unregister_cuda_shared_memory(self, name: str, client_timeout: float) -> None:
        if self.in_use:
            self.in_use -= 1
            raise InferenceServerException(
                f"Cannot unregister shared memory region '{name}', it is currently in use."
            )
        del self.known[name]

    async def get_cuda_shared_memory_status(self, client_timeout: float) -> Any:
        return SimpleNamespace(regions=self.known)


@pytest.fixture
def cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    monkeypatch.setattr(triton_owners, "SYSTEM", tmp_path)
    cuda = FakeCuda()
    monkeypatch.setitem(sys.modules, CUDA, cuda)
    return cuda


@pytest.fixture
def client() -> Any:
    return FakeClient()


INPUTS: "dict[str, NDArray[Any]]" = {
    "embedding": np.arange(32768, dtype=np.float16).reshape(1, 4, 8, 32, 32),
    "coords": np.zeros((1, 2, 3), np.float32),
    "mask": np.ones((1, 1, 32, 32, 32), np.float32),
}


async def test_large_inputs_lie_one_after_the_other(cuda: FakeCuda, client: Any) -> None:
    inputs = shared_inputs("cuda")
    assert inputs is not None
    async with inputs.holding(client, INPUTS) as places:
        assert list(places) == ["embedding", "mask"]
        lying = cuda.written[places["mask"].region]
        for name, place in places.items():
            part = lying[place.offset : place.offset + place.size]
            assert part == INPUTS[name].tobytes()
        assert client.known == {places["mask"].region: places["mask"].region.encode()}
    async with inputs.holding(client, INPUTS) as again:
        assert again == places
    await inputs.close(client)
    assert (client.known, cuda.written) == ({}, {})


async def test_small_inputs_need_no_region(cuda: FakeCuda, client: Any) -> None:
    inputs = SharedInputs(CudaRegion)
    async with inputs.holding(client, {"coords": INPUTS["coords"]}) as places:
        assert places == {}
    assert client.known == {}


async def test_a_gpu_without_room(
    cuda: FakeCuda, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cuda.free, inputs = 1000, SharedInputs(CudaRegion)
    for _ in range(2):
        async with inputs.holding(client, INPUTS) as places:
            assert places == {}
    assert [r.getMessage() for r in caplog.records] == [
        "no memory is shared with Triton: out of memory"
    ]


async def test_a_server_that_can_not_share_is_asked_again_later(
    cuda: FakeCuda, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = SharedInputs(CudaRegion)
    client.refusal = InferenceServerException("failed to open CUDA IPC handle", "INVALID_ARGUMENT")
    async with inputs.holding(client, INPUTS) as places:
        assert places == {}
    assert cuda.written == {}
    client.refusal = None
    async with inputs.holding(client, INPUTS) as places:
        assert places == {}
    monkeypatch.setattr(inputs, "_retry_at", 0.0)
    async with inputs.holding(client, INPUTS) as places:
        assert len(places) == 2


async def fail(inputs: SharedInputs, client: Any, error: Exception) -> str:
    """A call that fails; the region that it had."""
    region = ""
    with suppress(type(error)):
        async with inputs.holding(client, INPUTS) as places:
            region = places["mask"].region
            raise error
    return region


async def test_a_region_that_the_server_has_forgotten_is_not_used_again(
    cuda: FakeCuda, client: Any
) -> None:
    inputs, unknown = SharedInputs(CudaRegion), RegionUnknown("it was started again")
    names = {await fail(inputs, client, unknown) for _ in range(3 * shared.REGIONS)}
    assert len(names) == 3 * shared.REGIONS
    assert cuda.written == {}


async def test_what_may_still_be_read_stays_mapped_until_it_is_quiet(
    cuda: FakeCuda, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for quiet, left in ((60.0, 1), (0.0, 0)):
        monkeypatch.setattr(shared, "QUIET_SECONDS", quiet)
        inputs = SharedInputs(CudaRegion)
        await fail(inputs, client, TimeoutError())
        await inputs.close(client)
        assert len(client.known) == left
        assert cuda.written == {}
        client.known.clear()


async def test_a_region_is_given_back_once_the_server_has_put_its_last_request_away(
    cuda: FakeCuda, client: Any, tmp_path: Path
) -> None:
    inputs = SharedInputs(CudaRegion)
    async with inputs.holding(client, INPUTS):
        client.in_use = 3
    await inputs.close(client)
    assert (client.known, client.in_use, list(tmp_path.iterdir())) == ({}, 0, [])


async def test_a_region_that_stays_in_use_is_left_to_who_comes_next(
    cuda: FakeCuda, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "PUT_AWAY_SECONDS", 0.05)
    inputs = SharedInputs(CudaRegion)
    async with inputs.holding(client, INPUTS):
        client.in_use = 1000
    await inputs.close(client)
    assert len(client.known) == len(list(tmp_path.iterdir())) == 1
    assert cuda.written == {}


async def test_what_was_mapped_but_not_answered_is_forgotten_too(
    cuda: FakeCuda, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unanswered(name: str, *_: object, client_timeout: float) -> None:
        client.known[name] = b""
        raise InferenceServerException("Deadline Exceeded", "StatusCode.DEADLINE_EXCEEDED")

    monkeypatch.setattr(client, "register_cuda_shared_memory", unanswered)
    inputs = SharedInputs(CudaRegion)
    async with inputs.holding(client, INPUTS) as places:
        assert places == {}
    assert len(client.known) == 1
    await inputs.close(client)
    assert (client.known, list(tmp_path.iterdir())) == ({}, [])


async def test_what_dead_processes_left_is_forgotten_and_nothing_of_the_living(
    cuda: FakeCuda, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, stopped, living = (SharedInputs(CudaRegion) for _ in range(3))
    regions = [await fail(inputs, client, TimeoutError()) for inputs in (killed, stopped, living)]
    await asyncio.sleep(0)  # each has found nobody dead
    assert killed._owner is not None
    os.close(killed._owner.lock)  # as the system does
    await stopped.close(client)
    assert {*client.known} == {*regions}
    monkeypatch.setattr(shared, "QUIET_SECONDS", 0.02)
    inputs = SharedInputs(CudaRegion)
    async with inputs.holding(client, INPUTS) as places:
        mine = places["mask"].region
        await asyncio.sleep(0)
        assert {*client.known} == {*regions, mine}  # the server may be at work on what they asked
        while len(client.known) > 2:
            await asyncio.sleep(0.005)
    assert {*client.known} == {regions[2], mine}
    await inputs.close(client)
    await living.close(client)
    assert client.known == {}
    assert list(tmp_path.iterdir()) == []


def test_cuda_needs_its_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, CUDA, None)
    with pytest.raises(SettingsInvalid, match=r"pip install 'tritonclient\[cuda\]'"):
        shared_inputs("cuda")


def test_off_is_off() -> None:
    assert shared_inputs("off") is None
