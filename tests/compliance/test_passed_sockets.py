"""Sockets that a supervisor passes: the variables are read as sd_listen_fds(3) describes."""

import os
import socket
from contextlib import ExitStack

import pytest

from compliance import passed_sockets as room
from compliance.listening import CannotListen
from compliance.passed_sockets import bind_of, passed_sockets


@pytest.fixture
def fd(monkeypatch: pytest.MonkeyPatch) -> int:
    """A descriptor of a listening socket, in the place of the first passed one."""
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(room, "FIRST_FD", listener.fileno())
    os.set_inheritable(listener.fileno(), True)
    return listener.detach()


def passing(count: object = 1, pid: object = None, **more: str) -> dict[str, str]:
    return {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": str(count), "HOME": "/", **more}


def test_a_passed_socket_is_returned_with_its_name_and_is_closed_to_children(fd: int):
    environment = passing(LISTEN_FDNAMES="agi")
    ((name, listener),) = passed_sockets(environment)
    with listener:
        assert (name, listener.fileno(), listener.gettimeout()) == ("agi", fd, 0)
        assert not os.get_inheritable(fd)
        assert bind_of(listener) == f"127.0.0.1:{listener.getsockname()[1]}"
    assert environment == {"HOME": "/"}, "the variables are for one process only"


def test_without_names_a_socket_is_unknown(fd: int):
    ((name, listener),) = passed_sockets(passing())
    listener.close()
    assert name == "unknown"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        passing(pid=os.getppid()),
        passing(pid=f"{os.getpid()}x"),
        {"LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "1"},
        passing(0),
    ],
    ids=["none", "for the parent", "no pid", "no count", "no pid at all", "no socket"],
)
def test_what_is_for_another_process_is_ignored_and_removed(fd: int, environment: dict[str, str]):
    environment = dict(environment)
    with socket.socket(fileno=fd) as listener:
        assert passed_sockets(environment) == []
        assert os.get_inheritable(fd), "a descriptor of somebody else stays as it is"
        assert listener.getsockname()
    assert not {*environment} & {*room.VARIABLES}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (passing("many"), "LISTEN_FDS: 'many' is not a number of sockets"),
        (passing("-1"), "LISTEN_FDS: '-1' is not a number of sockets"),
        (passing("99999"), "LISTEN_FDS: '99999' is not a number of sockets"),
        (passing(1, LISTEN_FDNAMES="a:b"), "LISTEN_FDNAMES: it names 2 sockets, but LISTEN_FDS says 1"),
    ],
)
def test_variables_that_contradict_themselves_are_refused(fd: int, environment: dict[str, str], said: str):
    with socket.socket(fileno=fd), pytest.raises(CannotListen) as why:
        passed_sockets(environment)
    assert str(why.value) == said


@pytest.mark.parametrize("kind", ["not listening", "datagrams", "unix", "a file", "closed"])
def test_a_descriptor_that_is_no_listening_tcp_socket_is_refused(monkeypatch: pytest.MonkeyPatch, kind: str, tmp_path):
    with ExitStack() as ending:
        fd = opened(kind, ending, str(tmp_path / "s"))
        fd = os.dup(fd) if kind != "closed" else fd
        monkeypatch.setattr(room, "FIRST_FD", fd)
        with pytest.raises(CannotListen, match=f"LISTEN_FDS: descriptor {fd}"):
            passed_sockets(passing())


def opened(kind: str, ending: ExitStack, path: str) -> int:
    if kind == "a file":
        return ending.enter_context(open(path, "w")).fileno()  # noqa: PTH123
    if kind == "closed":
        return 900
    if kind == "unix":
        made = ending.enter_context(socket.socket(socket.AF_UNIX))
        made.bind(path)
        made.listen()
    else:
        datagrams = kind == "datagrams"
        made = ending.enter_context(socket.socket(type=socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM))
    return made.fileno()


def test_an_ipv6_address_is_written_in_brackets():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        assert bind_of(listener) == f"[::1]:{listener.getsockname()[1]}"
