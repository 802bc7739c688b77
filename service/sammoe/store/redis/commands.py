"""What is asked of Redis: each operation bounded in time, behind a breaker, and never an exception.

A command that is cut short, by its own limit or because its caller is cancelled, leaves an answer
under way. redis-py closes the connection then, so that nobody reads that answer for another
command; RESP 2 is asked for because with RESP 3 it does not look for such bytes in a connection
that it takes from its pool.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, RedisError

from sammoe.errors import SettingsInvalid
from sammoe.settings import env_name, flag
from sammoe.store.breaker import Breaker
from sammoe.store.redis.deadline import within
from sammoe.store.redis.payload import SCHEMA
from sammoe.telemetry import span

_CLAIM: Final = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'string' and redis.call('STRLEN', KEYS[1]) == tonumber(ARGV[3]) then
  return redis.call('GET', KEYS[1])
end
if kind ~= 'none' then
  redis.call('UNLINK', KEYS[1])
  return -1
end
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  return 1
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 1
end
return 0
"""
"""Value and lock in one step: between two steps a value could come, and be made a second time."""

_REMOVE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('UNLINK', KEYS[1])
end
return 0
"""
"""Only what is as expected: by now it may be somebody else's."""

_CLOSE_SECONDS: Final = 1.0
_SCANNED: Final = 1000

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RedisLimits:
    """How patient this process is with Redis and with other processes.

    Attributes
    ----------
    answer_seconds, bytes_per_second
        An operation may take the first, and the time that its value takes at the second.
    failures, pause_seconds
        See `Breaker`; and a value is asked for again so often.
    lock_seconds
        When a lock expires whose holder died; one that lives renews it.
    wait_seconds, poll_seconds
        How long to wait for another process's encode, and how often to look.
    keep_seconds
        When a value expires.
    largest_bytes
        A larger value is neither written nor read.
    """

    answer_seconds: float = 0.125
    bytes_per_second: float = 16 * 2**20
    failures: int = 3
    pause_seconds: float = 2.0
    lock_seconds: float = 2.0
    wait_seconds: float = 10.0
    poll_seconds: float = 0.025
    keep_seconds: float = 24 * 3600.0
    largest_bytes: int = 8 * 2**20


class Reply(Enum):
    """What Redis said, where it did not send a value."""

    DONE = auto()
    """A claim: the lock is the caller's. Else: done."""
    TAKEN = auto()
    """Another process has the lock."""
    FOREIGN = auto()
    """What was there could not be the value, and is gone."""
    FULL = auto()
    """No memory left to write."""
    FAILED = auto()
    """No answer, or no good one; asking again at once may help."""
    AWAY = auto()
    """The breaker is open: it was not asked."""


_CLAIMED: Final = {1: Reply.DONE, 0: Reply.TAKEN, -1: Reply.FOREIGN}


class Commands:
    """The operations on one Redis. Connects when first asked.

    Parameters
    ----------
    url
        As ``Settings.redis_url``.

    Raises
    ------
    SettingsInvalid
        The URL has an option that there is not.
    """

    def __init__(self, url: str, limits: RedisLimits) -> None:
        self._limits = limits
        self._breaker = Breaker(limits.failures, limits.pause_seconds)
        try:
            # Times are limited here alone, and a failure is the caller's to try again.
            self._client = Redis.from_url(
                url,
                protocol=2,
                driver_info=None,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=None,
                socket_connect_timeout=None,
            )
            # Connects to nothing yet, but looks at the options, which clicks must not stumble over.
            self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except (RedisError, TypeError, ValueError):
            name = f"{flag('redis_url')} ({env_name('redis_url')})"
            raise SettingsInvalid(f"{name}: an option of the URL can not be used.") from None
        self.errors = 0
        self.full = 0

    @property
    def away(self) -> bool:
        """Whether the breaker is open."""
        return self._breaker.is_open

    async def claim(self, key: str, token: str, size: int) -> bytes | Reply:
        """The value of ``key`` if it is ``size`` bytes long; else its lock, unless it is taken.

        With the token that holds the lock already, the lock is renewed.
        """
        lock_ms = int(1000 * self._limits.lock_seconds)
        keys = [_value(key), _lock(key)]
        answer = await self._ask(size, "EVAL", _CLAIM, 2, *keys, token, lock_ms, size)
        match answer:
            case bytes() | Reply():
                return answer
            case int():
                return _CLAIMED.get(answer, Reply.FAILED)
            case _:
                return Reply.FAILED

    async def publish(self, key: str, value: bytes) -> None:
        """Keep a value, whatever was there."""
        keep_ms = int(1000 * self._limits.keep_seconds)
        await self._ask(len(value), "SET", _value(key), value, "PX", keep_ms)

    async def forget(self, key: str, value: bytes) -> None:
        """Remove this very value."""
        await self._ask(len(value), "EVAL", _REMOVE, 1, _value(key), value)

    async def release(self, key: str, token: str) -> None:
        """Give up the lock, if the token still holds it."""
        await self._ask(0, "EVAL", _REMOVE, 1, _lock(key), token)

    async def remove(self, unwanted: Callable[[str], bool]) -> bool:
        """Remove all values whose keys are unwanted; return whether it was done."""
        cursor = 0
        while True:
            found = await self._ask(0, "SCAN", cursor, "MATCH", _value("*"), "COUNT", _SCANNED)
            if not isinstance(found, tuple):
                return False
            cursor, names = found
            keys = [name for name in names if unwanted(_key(name))]
            if keys and isinstance(await self._ask(0, "UNLINK", *keys), Reply):
                return False
            if cursor == 0:
                return True

    async def close(self) -> None:
        """Close the connections."""
        with suppress(RedisError, OSError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._client.aclose()

    async def _ask(self, size: int, *command: str | bytes | int) -> object:
        if not self._breaker.lets_through():
            return Reply.AWAY
        seconds = self._limits.answer_seconds + size / self._limits.bytes_per_second
        try:
            with span("redis", command=str(command[0])):
                answer = await within(seconds, self._client.execute_command(*command))  # type: ignore[no-untyped-call]
        except OutOfMemoryError:
            self.full += 1
            answer = Reply.FULL
        except (RedisError, OSError) as error:
            self._failed(error)
            return Reply.FAILED
        if self._breaker.is_open:
            _log.info("Redis answers again")
        self._breaker.succeeded()
        return answer

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        was_open = self._breaker.is_open
        self._breaker.failed()
        if self._breaker.is_open and not was_open:
            # Its message could name the server.
            _log.warning("Redis fails (%s); going on without it", type(error).__name__)


def _value(key: str) -> str:
    return f"sammoe:embedding:{SCHEMA}:{key}"


def _key(name: bytes) -> str:
    return name.decode("latin-1").removeprefix(_value(""))


def _lock(key: str) -> str:
    return f"{_value(key)}:lock"
