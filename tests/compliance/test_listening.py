"""An address on which a program cannot listen: one line that names the setting and says what to write."""

import re
import socket
from collections.abc import Iterator

import pytest

from compliance.listening import CannotListen, listen


def refused(bind: str) -> str:
    with pytest.raises(CannotListen) as why:
        listen("DNC_WEB_BIND", bind)
    said = str(why.value)
    assert said.startswith(f"DNC_WEB_BIND: cannot listen on {bind}: ")
    assert "\n" not in said
    return said


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_in_use_is_answered_with_one_that_is_free(taken: int):
    said = refused(f"127.0.0.1:{taken}")
    assert "Address already in use" in said
    free = re.search(r"; (DNC_WEB_BIND)=(127\.0\.0\.1:\d+) is free$", said)
    assert free
    with listen(free[1], free[2]) as listener:
        assert listener.getsockname()[1] > taken


def test_a_port_in_use_on_every_address_is_found(taken: int):
    assert "Address already in use" in refused(f"0.0.0.0:{taken}")


def test_an_address_of_another_machine_and_an_impossible_name_are_explained():
    assert "write an address of this machine" in refused("192.0.2.1:8080")
    assert "no address has this name" in refused("no-such-host.invalid:8080")
    assert "no address has this name" in refused(f"{'a' * 70}.example:8080")


def test_an_ipv6_address_is_taken_in_brackets():
    with listen("DNC_WEB_BIND", "[::1]:0") as listener:
        assert listener.family == socket.AF_INET6
