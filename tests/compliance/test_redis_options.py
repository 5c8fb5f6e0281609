"""The options of a Redis URL: those that redis-py knows, and no others."""

import pytest

from compliance.redis_connection import Connector
from compliance.redis_options import _known, options_of
from compliance.redis_url import read_redis_url

REFUSED = (
    "redis://h/0?x=1",
    "redis://h/0?decode_responses=true",
    "redis://h/0?socket_timeout=1",
    "redis://h/0?ssl_ca_certs=/ca.pem",
    "redis://h/0?sentinel_password=hunter2",
    "unix:///run/r.sock?timeout=1",
    "redis+sentinel://a/dnc?ssl_ca_certs=/ca.pem",
    "rediss+cluster://a?sentinel_username=hunter2",
)


@pytest.mark.parametrize("url", REFUSED)
def test_an_unknown_option_is_refused_without_repeating_it(url: str):
    with pytest.raises(ValueError, match="the options after") as caught:
        read_redis_url(url)
    assert url.partition("?")[2].partition("=")[2] not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://h?db=one", "redis://h?db=-1", "rediss://h?ssl_min_version=TLSv1.2"])
def test_a_number_that_is_none_is_refused(url: str):
    with pytest.raises(ValueError, match="a whole number after"):
        read_redis_url(url)


def test_a_word_that_is_no_check_of_certificates_is_refused():
    with pytest.raises(ValueError, match="required, optional, none"):
        read_redis_url("rediss://h?ssl_cert_reqs=maybe")


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_redis_py_takes_each_option(scheme: str):
    values = {"ssl_cert_reqs": "required"}
    query = "&".join(f"{name}={values.get(name, 1)}" for name in _known(scheme))
    assert dict(options_of(scheme, query)).keys() == _known(scheme)
    Connector("tests").connection(f"{scheme}://h:1?{query}", 1)
