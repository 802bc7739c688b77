"""moto's S3 server, with conditional writes that hold: ``python -m tests.integration.moto_server``.

moto looks at the condition and writes afterwards, in a thread for each request: of two at once both
may find it true (seen in 1 of 50 trials on a machine with other work). S3 lets one through.
"""

import threading
from unittest.mock import patch

from moto.s3.responses import S3Response
from moto.server import main

_one_at_a_time = threading.Lock()
_put_object = S3Response.put_object


def put_object(response: S3Response) -> object:
    """Ask and write in one go; the request's body is here already."""
    with _one_at_a_time:
        return _put_object(response)


if __name__ == "__main__":
    with patch.object(S3Response, "put_object", put_object):
        main()
