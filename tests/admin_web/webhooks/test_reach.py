"""A webhook reaches public addresses only, however the address is written."""

from ipaddress import ip_address

import pytest

from admin_web.webhooks.reach import AddressRefused, _public_socket, checked_url, is_public, opened_session, send
from compliance.refusal import Unwritable

PRIVATE = [
    "127.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "192.88.99.1",
    "::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "fec0::1", "100::1", "5f00::1", "4000::1",
    "2001:db8::1", "3fff::1", "2001:10::1", "2001:20::1", "2001:2::1",
    # IPv4-compatible, with a private and with a public address: the block itself is deprecated.
    "::7f00:1", "::10.0.0.1", "::8.8.8.8",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::7f00:1", "64:ff9b:1::808:808", "64:ff9b:1:7f00:0:100::",
    "2002:7f00:1::1", "2002:a00:1::", "2002:a9fe:a9fe::1",
    # Teredo: a private client (its bits are inverted), and a private server.
    "2001:0:808:808::80ff:fffe", "2001:0:a00:1::f7f7:f7f7",
    "2600::5efe:a00:1", "2600::200:5efe:7f00:1",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "93.184.215.14", "2600::1", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
    "2002:808:808::1", "2001:0:808:808::f7f7:f7f7", "2600::5efe:808:808",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_not_everybody_can_reach_is_refused_in_the_form_and_at_the_socket(address: str):
    assert not is_public(ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(Unwritable, match="DNC_WEBHOOK_PRIVATE"):
        checked_url(f"https://{host}/hook", http=False, private=False)
    assert checked_url(f"https://{host}/hook", http=False, private=True)
    with pytest.raises(AddressRefused):
        _public_socket((2, 1, 6, "", (address, 443)))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_accepted(address: str):
    assert is_public(ip_address(address))


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "[::1%251]"])
async def test_another_spelling_of_this_machine_is_refused_before_anything_is_sent(host: str):
    async with opened_session(private=False) as session:
        said = await send(session, f"http://{host}:9/", {}, b"{}")
    assert said
    assert "refused" not in said.lower() or "private network" in said
    assert "answered" not in said
