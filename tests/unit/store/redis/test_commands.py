"""What a client of Redis is made of; what it does is tested on a real one."""

import pytest

from sammoe.errors import SettingsInvalid
from sammoe.store.redis import RedisEmbeddings


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@redis?db=first",
        "redis://:s3cret@redis?ssl_ca_certs=/etc/ca.pem",
        "rediss://:s3cret@redis?ssl_colour=blue",
        "rediss://:s3cret@redis?ssl_cert_reqs=perhaps",
        "rediss://:s3cret@redis?ssl_min_version=new",
    ],
)
def test_an_option_that_there_is_not_is_one_clear_line(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        RedisEmbeddings(url)
    assert caught.value.detail == (
        "--redis-url (SAMMOE_REDIS_URL): an option of the URL can not be used."
    )


async def test_options_of_tls_are_taken() -> None:
    await RedisEmbeddings("rediss://redis?ssl_cert_reqs=required&ssl_check_hostname=1").close()
