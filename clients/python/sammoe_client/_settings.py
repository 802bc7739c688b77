"""How patient a client is, as value objects."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait before giving up.

    Attributes
    ----------
    connect
        For a connection.
    send
        For a piece of a request to be taken.
    answer
        For a piece of an answer; its first one waits for the networks.
    upload
        The same for the answer to a scan or mask that was sent, or that the service gets from a
        PACS.
    pool
        For one of the client's connections to be free.
    """

    connect: float = 10.0
    send: float = 60.0
    answer: float = 120.0
    upload: float = 600.0
    pool: float = 60.0


@dataclass(frozen=True)
class Retries:
    """When to try again: where the service is busy (429, 503) or restarts, or nobody was reached.

    What makes something carries an Idempotency-Key, so trying again never makes a second one.

    Attributes
    ----------
    attempts
        In all; 1: never again.
    first
        Seconds before the second attempt; twice as long before each further one, up to
        ``longest``, and somewhat less by chance, so that many clients do not come at once.
    longest
        If the service asks for a longer rest than this (Retry-After), its refusal is raised.
    """

    attempts: int = 6
    first: float = 0.25
    longest: float = 30.0

    def wait(self, attempt: int, asked: float | None = None) -> float | None:
        """Seconds to wait after the ``attempt``-th failure, from 1; None to give up."""
        if attempt >= self.attempts or (asked is not None and asked > self.longest):
            return None
        usual = min(self.longest, self.first * 2.0 ** (attempt - 1)) * random.uniform(0.75, 1.0)
        return max(usual, asked or 0.0)
