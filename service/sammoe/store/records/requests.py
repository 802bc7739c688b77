"""Records of what an Idempotency-Key was promised and answered."""

from sammoe.store.records.base import Record


class ResponseRecord(Record):
    """An answer kept for an Idempotency-Key; its body is the file's payload.

    ``request_digest`` tells whether the key is used with the same request again; ``volume_id``,
    which volume the answer is about, and goes with; ``volume_owner``, whose that is, if another's.
    """

    request_digest: str
    volume_id: str | None = None
    volume_owner: str | None = None
    status: int
    headers: dict[str, str]


class PromiseRecord(Record):
    """The id that a request under an Idempotency-Key gives to what it makes."""

    request_digest: str
    name: str
