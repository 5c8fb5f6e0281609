"""Who may ask the gate: this machine and the PBXs of the settings, each within its quota, and each on record."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path

import pytest

from agi_gate.canary import header
from agi_gate.peers import MOST_KNOWN, Peers, is_loopback
from agi_gate.settings import GateSettings
from compliance.settings import SettingsError
from lab.process import free_port
from lab.redis import RedisServer
from tests.support.asterisk import GateProcess
from tests.support.handmade import HandmadeProjection
from tests.support.programs import run

NETWORKS = tuple(map(ip_network, ("192.0.2.10/32", "10.8.0.0/24", "2001:db8:1::/48")))


def refusal(peers: Peers, address: str) -> str:
    return peers.refusal(peers.of(address))


@pytest.mark.parametrize(
    ("peer", "refused"),
    [
        ("127.0.0.1", ""),
        ("127.8.9.10", ""),
        ("::1", ""),
        ("192.0.2.10", ""),
        ("10.8.0.255", ""),
        ("::ffff:10.8.0.7", ""),
        ("2001:db8:1::7", ""),
        ("192.0.2.11", "unknown-peer"),
        ("10.8.1.0", "unknown-peer"),
        ("::ffff:192.0.2.11", "unknown-peer"),
        ("2001:db8:2::7", "unknown-peer"),
        ("fe80::1%eth0", "unknown-peer"),
        ("2001:db8:1::7%eth0", ""),
        ("", "unknown-peer"),
        ("nowhere", "unknown-peer"),
    ],
)
def test_only_this_machine_and_the_networks_of_the_settings_may_ask(peer: str, refused: str):
    peers = Peers(NETWORKS, 10)
    assert [refusal(peers, peer), refusal(peers, peer)] == [refused, refused]


def test_without_networks_only_this_machine_may_ask():
    peers = Peers((), 10)
    assert [refusal(peers, peer) for peer in ("127.0.0.1", "192.0.2.10")] == ["", "unknown-peer"]


def test_each_peer_has_a_quota_of_its_own():
    peers = Peers(NETWORKS, 2)
    peers.of("10.8.0.1").open = 2
    assert [refusal(peers, "10.8.0.1"), refusal(peers, "10.8.0.2")] == ["too-many-of-peer", ""]
    peers.of("10.8.0.1").open -= 1
    assert refusal(peers, "10.8.0.1") == ""


@pytest.mark.parametrize("network", ["0.0.0.0/0", "10.8.0.0/24"], ids=["admitted", "refused"])
def test_a_flood_from_many_addresses_takes_bounded_memory_and_keeps_the_counts(network: str):
    peers = Peers((ip_network(network),), 1)
    held = [peers.of("127.0.0.1"), peers.of("10.8.0.1")]
    for peer in held:
        peer.open += 1
    for low in range(2 * MOST_KNOWN + 10):
        refusal(peers, f"198.{low >> 16}.{low >> 8 & 255}.{low & 255}")
        assert len(peers._known) <= MOST_KNOWN + len(held)
    assert [peers.of(peer.address) for peer in held] == held
    assert {refusal(peers, peer.address) for peer in held} == {"too-many-of-peer"}
    for peer in held:
        peer.open -= 1
    assert {refusal(peers, peer.address) for peer in held} == {""}


@pytest.mark.parametrize(
    ("bind", "peers", "refused"),
    [
        ("127.0.0.1:4573", "", False),
        ("[::1]:4573", "", False),
        ("localhost:4573", "", False),
        ("127.0.1.1:4573", "", False),
        ("0.0.0.0:4573", "", True),
        ("[::]:4573", "", True),
        ("192.0.2.1:4573", " , ", True),
        ("pbx-host:4573", "", True),
        ("0.0.0.0:4573", "192.0.2.10, 10.8.0.0/24", False),
    ],
)
def test_a_port_that_other_machines_can_reach_needs_the_addresses_of_the_pbxs(bind: str, peers: str, refused: bool):
    settings = GateSettings(agi_bind=bind, agi_peers=peers)
    if not refused:
        settings.require_peers()
        return
    with pytest.raises(SettingsError, match="DNC_AGI_PEERS: other machines can reach"):
        settings.require_peers()


def test_a_gate_that_anybody_could_ask_ends_at_its_start_with_one_line():
    environment = {"DNC_AGI_BIND": f"0.0.0.0:{free_port()}", "DNC_AGI_PEERS": ""}
    ended = run("agi_gate", ["serve"], environment)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "write the addresses of your PBXs" in ended.stderr


@pytest.mark.parametrize("written", ["nonsense", "10.8.0.0/33", "192.0.2.10;192.0.2.11", "192.0.2.1-9"])
def test_a_list_that_is_none_is_refused_with_what_to_write(written: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DNC_AGI_PEERS", written)
    with pytest.raises(SettingsError, match=r"DNC_AGI_PEERS: write addresses or networks"):
        GateSettings.load()


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("LOCALHOST.", True), ("::1", True), ("10.0.0.1", False)]
)
def test_loopback_is_known_in_every_spelling(host: str, own: bool):
    assert is_loopback(host) is own


@pytest.fixture
def gate(redis_server: RedisServer, short_path: Path) -> Iterator[GateProcess]:
    HandmadeProjection(redis_server)
    settings = {"DNC_DEADLINE_MS": "1000", "DNC_MOST_CONVERSATIONS_OF_PEER": "10", "DNC_PEER_MS": "20000"}
    with GateProcess(short_path / "gate", redis_server.url, **settings) as gate:
        yield gate.until_ready()


def connected(gate: GateProcess, peer: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gate.port), 20, source_address=(peer, 0))


def test_the_record_names_the_address_that_asked(gate: GateProcess, redis_server: RedisServer):
    with connected(gate, "127.0.0.7") as pbx:
        pbx.sendall(header("+14155550199", "", "pbx-1.1"))
        assert b"ALLOW-pbx-1.1" in pbx.recv(4096)
    (decision,) = HandmadeProjection(redis_server).decisions()
    assert decision.peer == "127.0.0.7"


def test_a_peer_that_takes_its_quota_leaves_the_port_to_the_others(gate: GateProcess):
    with ExitStack() as held:
        for _ in range(10):
            held.enter_context(connected(gate, "127.0.0.8"))
        with connected(gate, "127.0.0.8") as further:
            assert further.recv(1) == b""
        assert gate.screen("+14155550199").allowed
    assert gate.metric('dnc_gate_refused_peers_total{why="too-many-of-peer"}') == 1
