"""The tunnel to peers on other links, as `ip` and `bridge` show and take it."""

import dataplane_builders as build
from lbctl_dataplane.rules.peers import tunnel
from lbctl_dataplane.rules.peers.peering import Far, tunnel_mac
from lbctl_dataplane.rules.peers.tunnel import Found

WANTED = tunnel.device("02:aa:bb:cc:dd:ee", build.ip("172.31.241.11"), 1500)
SHOWN = """[{}, {"ifname": "vxlan.calico"}, {"ifname": "lbctl-vx", "ifindex": 7,
"flags": ["BROADCAST", "UP"], "mtu": 1450, "address": "02:aa:bb:cc:dd:ee",
"linkinfo": {"info_kind": "vxlan", "info_data": {"id": 7111, "local": "172.31.241.11",
"port": 7111, "learning": false}}}]"""
PEER = Far("02:aa:bb:cc:dd:01", build.ip("172.31.242.12"), (build.ip("172.31.242.12"),))
KNOWN = {("fdb", "02:aa:bb:cc:dd:01"): "172.31.242.12", ("neigh", "172.31.242.12"): PEER.mac}


def test_packets_get_smaller_by_what_the_tunnel_adds() -> None:
    assert WANTED.mtu == 1450
    assert tunnel.device("", build.ip("fd00::1"), 1500).mtu == 1430


def test_a_device_as_we_make_it_is_left_alone() -> None:
    assert tunnel.parse(SHOWN) == Found(there=True, device=WANTED, index=7)
    assert tunnel.render(WANTED, tunnel.parse(SHOWN)) == ""


def test_a_device_of_another_size_is_changed() -> None:
    found = tunnel.parse(SHOWN.replace("1450", "1500"))
    assert tunnel.render(WANTED, found) == (
        "link set lbctl-vx address 02:aa:bb:cc:dd:ee mtu 1450\n"
    )


def test_a_device_with_another_number_or_leg_is_made_again() -> None:
    for damage in (("7111,", "7112,"), ("172.31.241.11", "172.31.241.99"), ('"UP"', '"DOWN"')):
        lines = tunnel.render(WANTED, tunnel.parse(SHOWN.replace(*damage))).splitlines()
        assert [line.split()[1] for line in lines] == ["del", "add", "set", "set"]


def test_without_a_device_one_is_made() -> None:
    (made, _, up) = tunnel.render(WANTED, tunnel.parse("[]")).splitlines()
    assert "type vxlan id 7111 dstport 7111 local 172.31.241.11 nolearning" in made
    assert up == "link set lbctl-vx up"


def test_a_peer_is_an_entry_for_its_mac_address_and_one_for_each_leg() -> None:
    assert tunnel.entries([PEER]) == KNOWN
    assert tunnel.commands(KNOWN, {}, "svc0") == {
        "route": "",
        "neigh": f"neigh replace 172.31.242.12 dev lbctl-vx lladdr {PEER.mac} nud permanent\n",
        "fdb": "fdb replace 02:aa:bb:cc:dd:01 dev lbctl-vx dst 172.31.242.12\n",
    }


def test_where_a_leg_names_a_gateway_the_tunnel_goes_by_it() -> None:
    wanted = tunnel.entries([PEER], [build.ip("172.31.241.1"), build.ip("fd00::1")])
    assert tunnel.commands(wanted, KNOWN, "svc0")["route"] == (
        "route replace 172.31.242.12 via 172.31.241.1 dev svc0 proto 28 onlink\n"
    )
    found = tunnel.parse_entries((), "", ['[{"dst": "172.31.242.12", "gateway": "172.31.241.1"}]'])
    assert {**KNOWN, **found} == wanted


def test_entries_are_read_back_and_those_of_nobody_go() -> None:
    neighbours = """[{"dst": "172.31.242.12", "lladdr": "02:aa:bb:cc:dd:01",
    "state": ["PERMANENT"]}, {"dst": "172.31.242.13", "state": ["FAILED"]}]"""
    forwarding = """[{"mac": "02:aa:bb:cc:dd:01", "dst": "172.31.242.12", "state": "permanent"}]"""
    found = tunnel.parse_entries([neighbours, "[]"], forwarding, ())
    assert found == KNOWN
    assert set(tunnel.commands(KNOWN, found, "svc0").values()) == {""}
    gone = tunnel.commands({}, found, "svc0")
    assert gone["neigh"].startswith("neigh del 172.31.242.12 dev lbctl-vx ")
    assert gone["fdb"] == "fdb del 02:aa:bb:cc:dd:01 dev lbctl-vx dst 172.31.242.12\n"


def test_every_node_has_a_mac_address_of_its_own_that_nobody_sells() -> None:
    macs = {tunnel_mac(f"node-{n}") for n in range(1000)}
    assert len(macs) == 1000
    assert {mac[:2] for mac in macs} == {"02"}
