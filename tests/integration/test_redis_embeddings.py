"""Embeddings in a real Redis: shared, made once, checked; a Redis that fails costs time alone."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import trustme

from sammoe.errors import EngineError
from sammoe.store.embeddings import Embedding
from sammoe.store.redis import RedisEmbeddings, RedisLimits
from sammoe.store.redis.payload import SCHEMA, pack
from tests.integration.redis_server import PASSWORD, RedisServer, free_port
from tests.integration.slow_proxy import SlowProxy

SHAPE = (1, 8, 6, 6, 6)
PATIENT = RedisLimits(answer_seconds=10.0, wait_seconds=60.0)
"""For tests of what is asked, on a machine that may be busy."""
HASTY = RedisLimits(answer_seconds=0.05, pause_seconds=0.1, poll_seconds=0.005)
"""For tests of a Redis that fails."""


class Encoder:
    """Counts its calls; each takes some time and may fail."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.calls = 0
        self.seconds = seconds
        self.fails = False

    async def __call__(self) -> Embedding:
        self.calls += 1
        call = self.calls
        await asyncio.sleep(self.seconds)
        if self.fails:
            raise EngineError("no")
        return np.full(SHAPE, call, np.float16)


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    """An empty server."""
    redis_server.heal()
    with redis_server.client() as client:
        client.flushall()
    return redis_server


@asynccontextmanager
async def replicas(
    url: str, limits: RedisLimits, count: int
) -> AsyncIterator[list[RedisEmbeddings]]:
    """As many as there are processes of a service."""
    made = [RedisEmbeddings(url, limits) for _ in range(count)]
    yield made
    for one in made:
        await one.close()


def value_key(key: str) -> str:
    return f"sammoe:embedding:{SCHEMA}:{key}"


async def test_what_one_replica_made_another_finds(server: RedisServer) -> None:
    encoder = Encoder()
    async with replicas(server.url, PATIENT, 2) as (one, other):
        made, was_hit = await one.get_or_encode("a", SHAPE, encoder)
        found, hit = await other.get_or_encode("a", SHAPE, encoder)
        assert (was_hit, hit, encoder.calls) == (False, True, 1)
        assert found.tobytes() == made.tobytes()
        assert (one.counters.misses, other.counters.hits) == (1, 1)
    with server.client() as client:
        assert client.keys() == [value_key("a").encode()]
        assert 0 < client.pttl(value_key("a")) <= 1000 * PATIENT.keep_seconds


async def test_ten_replicas_at_once_are_one_encode(server: RedisServer) -> None:
    encoder = Encoder(0.2)
    async with replicas(server.url, PATIENT, 10) as all_of_them:
        answers = await asyncio.gather(
            *(one.get_or_encode("a", SHAPE, encoder) for one in all_of_them)
        )
        assert encoder.calls == 1
        assert {(float(made[0, 0, 0, 0, 0]), hit) for made, hit in answers} == {(1.0, False)}
        assert sum(one.counters.joined for one in all_of_them) == 9


async def test_a_lock_is_renewed_while_its_holder_encodes(server: RedisServer) -> None:
    encoder = Encoder(1.5)
    limits = RedisLimits(answer_seconds=10.0, wait_seconds=60.0, lock_seconds=1.0)
    async with replicas(server.url, limits, 2) as (one, other):
        await asyncio.gather(*(each.get_or_encode("a", SHAPE, encoder) for each in (one, other)))
    assert encoder.calls == 1


async def test_when_the_holder_fails_the_next_encodes(server: RedisServer) -> None:
    broken, encoder = Encoder(0.2), Encoder()
    broken.fails = True
    async with replicas(server.url, PATIENT, 2) as (one, other):
        failing = asyncio.create_task(one.get_or_encode("a", SHAPE, broken))
        while not broken.calls:
            await asyncio.sleep(0.01)
        await other.get_or_encode("a", SHAPE, encoder)
        with pytest.raises(EngineError):
            await failing
    assert (broken.calls, encoder.calls) == (1, 1)


async def test_a_holder_that_is_stopped_gives_the_lock_back(server: RedisServer) -> None:
    encoder = Encoder(60.0)
    async with replicas(server.url, PATIENT, 1) as (one,):
        stopped = asyncio.create_task(one.get_or_encode("a", SHAPE, encoder))
        while not encoder.calls:
            await asyncio.sleep(0.01)
        stopped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopped
    with server.client() as client:
        assert client.keys() == []


async def test_when_the_holder_dies_its_lock_expires(server: RedisServer) -> None:
    encoder = Encoder()
    with server.client() as client:
        client.set(f"{value_key('a')}:lock", "of the dead", px=300)
    async with replicas(server.url, PATIENT, 1) as (one,):
        await one.get_or_encode("a", SHAPE, encoder)
        assert (await one.get_or_encode("a", SHAPE, encoder))[1]
    assert encoder.calls == 1


async def test_a_holder_that_takes_too_long_is_not_waited_for(server: RedisServer) -> None:
    encoder = Encoder()
    limits = RedisLimits(answer_seconds=10.0, wait_seconds=0.1)
    with server.client() as client:
        client.set(f"{value_key('a')}:lock", "of another")
        async with replicas(server.url, limits, 1) as (one,):
            _, hit = await one.get_or_encode("a", SHAPE, encoder)
        assert (hit, encoder.calls) == (False, 1)
        assert client.get(f"{value_key('a')}:lock") == b"of another"


GOOD = pack(np.full(SHAPE, 9, np.float16), "a")
FLIPPED = GOOD[:-1] + bytes([GOOD[-1] ^ 1])


@pytest.mark.fault("F05")
@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(GOOD[:-2], id="truncated"),
        pytest.param(b"", id="empty"),
        pytest.param(GOOD * 1000, id="longer"),
        pytest.param(FLIPPED, id="one bit flipped"),
        pytest.param(GOOD[:8] + b"\2" + GOOD[9:], id="another version"),
        pytest.param(pack(np.full(SHAPE, 9, np.float16), "b"), id="of another key"),
        pytest.param(pack(np.full((1, 6, 8, 6, 6), 9, np.float16), "a"), id="of another shape"),
        pytest.param(["a", "list"], id="of another type"),
    ],
)
async def test_a_value_that_does_not_verify_is_a_miss_and_replaced(
    server: RedisServer, foreign: bytes | list[str]
) -> None:
    encoder = Encoder()
    with server.client() as client:
        if isinstance(foreign, bytes):
            client.set(value_key("a"), foreign)
        else:
            client.rpush(value_key("a"), *foreign)
        async with replicas(server.url, PATIENT, 1) as (one,):
            made, was_hit = await one.get_or_encode("a", SHAPE, encoder)
            found, hit = await one.get_or_encode("a", SHAPE, encoder)
            counters = one.counters
        kept = client.get(value_key("a"))
    assert (was_hit, hit, encoder.calls) == (False, True, 1)
    assert float(made[0, 0, 0, 0, 0]) == float(found[0, 0, 0, 0, 0]) == 1.0
    # An empty value is none: Redis has it as a string without bytes.
    assert (counters.damaged, counters.errors) == (1, 0)
    assert kept == pack(made, "a")


@pytest.mark.fault("F07")
@pytest.mark.parametrize("how", ["cancelled", "timed out"])
async def test_an_interrupted_read_leaves_nothing_for_the_next(
    server: RedisServer, how: str
) -> None:
    """Every value is full of its own number; reads are interrupted in the middle of a value."""
    shape, keys = (1, 20, 8, 8, 8), range(1, 9)
    with server.client() as client:
        for key in keys:
            client.set(value_key(str(key)), pack(np.full(shape, key, np.float16), str(key)))
    limits = PATIENT
    if how == "timed out":
        limits = RedisLimits(answer_seconds=0.1, failures=1, pause_seconds=0.0)

    async def read(one: RedisEmbeddings, key: int) -> bool:
        async def make() -> Embedding:
            return np.full(shape, key, np.float16)

        found, hit = await one.get_or_encode(str(key), shape, make)
        assert (found == key).all()
        return hit

    async with (
        SlowProxy(server.port).listening() as proxy,
        replicas(f"redis://:{PASSWORD}@127.0.0.1:{proxy.port}", limits, 1) as (one,),
    ):
        for turn in range(4):
            proxy.flowing.set()
            for key in keys:
                while not await read(one, key):
                    assert how == "timed out"
            proxy.flowing.clear()
            reads = [asyncio.create_task(read(one, key)) for key in keys]
            while how == "cancelled" and proxy.held < len(keys):
                await asyncio.sleep(0.001)
            for task in reads:
                if how == "cancelled":
                    task.cancel()
            ends = await asyncio.gather(*reads, return_exceptions=True)
            interrupted = [asyncio.CancelledError if how == "cancelled" else bool] * len(keys)
            assert [type(end) for end in ends] == interrupted
            assert True not in ends
            keys = keys[::-1] if turn % 2 else range(1, 9)
        assert one.counters.damaged == 0


def kill(server: RedisServer) -> None:
    server.kill()


def hang(server: RedisServer) -> None:
    server.hang()


def rotate(server: RedisServer) -> None:
    server.kill()
    server.start("another password")


@pytest.mark.fault("F01", "F03", "F06")
@pytest.mark.parametrize("fault", [kill, hang, rotate])
async def test_without_redis_everything_is_encoded_and_then_it_is_used_again(
    server: RedisServer, fault: Callable[[RedisServer], None]
) -> None:
    encoder = Encoder()
    async with replicas(server.url, HASTY, 1) as (one,):
        await settle(one, encoder)
        fault(server)
        before = encoder.calls
        for key in ("b", "c", "d"):
            assert not (await one.get_or_encode(key, SHAPE, encoder))[1]
        assert encoder.calls == before + 3
        assert one.counters.away
        server.heal()
        await settle(one, encoder)


async def settle(one: RedisEmbeddings, encoder: Encoder) -> None:
    """Ask until the breaker is closed and a value is kept."""
    end = time.monotonic() + 20.0
    while not (await one.get_or_encode("settled", SHAPE, encoder))[1]:
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
    assert not one.counters.away


@pytest.mark.fault("F04")
async def test_a_full_redis_is_read_and_not_written(server: RedisServer) -> None:
    encoder = Encoder()
    async with replicas(server.url, PATIENT, 1) as (one,):
        await one.get_or_encode("a", SHAPE, encoder)
        server.fill()
        assert (await one.get_or_encode("a", SHAPE, encoder))[1]
        assert not (await one.get_or_encode("b", SHAPE, encoder))[1]
        assert (one.counters.full, one.counters.errors, one.counters.away) == (1, 0, False)
        server.heal()
        await one.get_or_encode("b", SHAPE, encoder)
        assert (await one.get_or_encode("b", SHAPE, encoder))[1]


@pytest.mark.fault("F04")
async def test_a_redis_that_fills_up_during_an_encode_is_not_written(server: RedisServer) -> None:
    async def fill() -> Embedding:
        server.fill()
        return np.ones(SHAPE, np.float16)

    async with replicas(server.url, PATIENT, 1) as (one,):
        await one.get_or_encode("a", SHAPE, fill)
        assert (one.counters.full, one.counters.errors) == (1, 0)
    with server.client() as client:
        assert client.keys() == []


async def test_what_is_too_large_is_not_sent(server: RedisServer) -> None:
    encoder = Encoder()
    async with replicas(server.url, RedisLimits(largest_bytes=1000), 1) as (one,):
        for _ in range(2):
            assert not (await one.get_or_encode("a", SHAPE, encoder))[1]
    with server.client() as client:
        assert client.keys() == []


async def test_it_needs_few_rights(server: RedisServer) -> None:
    """Those that docs/operations.md names."""
    rights = ["eval", "get", "set", "strlen", "type", "unlink", "pexpire"]
    with server.client() as client:
        client.acl_setuser(
            "replica",
            enabled=True,
            passwords=["+a-password"],
            keys=["sammoe:embedding:*"],
            commands=["-@all", *(f"+{right}" for right in rights)],
        )
        client.set(value_key("a"), FLIPPED)
        try:
            url = f"redis://replica:a-password@127.0.0.1:{server.port}"
            async with replicas(url, PATIENT, 1) as (one,):
                for key in ("a", "b"):
                    await one.get_or_encode(key, SHAPE, Encoder())
                    assert (await one.get_or_encode(key, SHAPE, Encoder()))[1]
                assert (one.counters.errors, one.counters.damaged) == (0, 1)
            assert sorted(client.keys()) == [value_key("a").encode(), value_key("b").encode()]
        finally:
            client.acl_deluser("replica")


async def test_another_server_at_that_address_is_no_redis() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    encoder = Encoder()
    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        async with replicas(f"redis://127.0.0.1:{port}", HASTY, 1) as (one,):
            assert not (await one.get_or_encode("a", SHAPE, encoder))[1]
            assert one.counters.away
    assert encoder.calls == 1


async def test_what_is_deleted_is_forgotten_by_content(server: RedisServer) -> None:
    async with replicas(server.url, PATIENT, 1) as (one,):
        for number in range(30):
            await one.get_or_encode(f"a-{number}", SHAPE, Encoder())
            await one.get_or_encode(f"ab-{number}", SHAPE, Encoder())
        with server.client() as client:
            client.set("another's", "a-1")
            assert await one.forget({"a", "c"})
            left = {f"ab-{number}" for number in range(30)}
            assert {*client.keys()} == {b"another's", *(value_key(key).encode() for key in left)}
        assert await one.forget({"c"})


async def test_a_redis_that_is_dead_says_that_it_did_not_forget(server: RedisServer) -> None:
    async with replicas(server.url, HASTY, 1) as (one,):
        server.kill()
        for _ in range(5):
            assert not await one.forget({"a"})
        server.heal()


@pytest.mark.fault("F06")
@pytest.mark.parametrize("expired", [False, True])
async def test_a_certificate_that_has_expired_is_no_redis(tmp_path: Path, expired: bool) -> None:
    """With one that has not, the same server is used."""
    authority = trustme.CA()
    end = datetime.now(UTC) + timedelta(days=-1 if expired else 1)
    certificate = authority.issue_cert("127.0.0.1", not_after=end)
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    port = free_port()
    flags = ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", "--save", ""]
    flags += ["--bind", "127.0.0.1", "--tls-cert-file", str(tmp_path / "certificate.pem")]
    flags += ["--tls-key-file", str(tmp_path / "key.pem"), "--dir", str(tmp_path)]
    process = subprocess.Popen(["redis-server", *flags], stdout=subprocess.DEVNULL)
    url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={tmp_path / 'authority.pem'}"
    encoder = Encoder()
    try:
        # A handshake takes longer than a look into a Redis that is connected.
        async with replicas(url, RedisLimits(answer_seconds=2.0, pause_seconds=0.1), 1) as (one,):
            if not expired:
                await settle(one, encoder)
                return
            await asyncio.sleep(0.5)
            for key in "abc":
                assert not (await one.get_or_encode(key, SHAPE, encoder))[1]
            assert encoder.calls == 3
            assert one.counters.away
    finally:
        process.kill()
        process.wait()
