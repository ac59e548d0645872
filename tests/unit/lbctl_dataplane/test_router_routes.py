"""Routes, rules and neighbours of a router, both ways."""

import json

import dataplane_builders as build
from lbctl import delta
from lbctl_dataplane.rules.router import routes
from lbctl_dataplane.rules.router.legs import LegAddress

LINKS = routes.parse_links(
    json.dumps(
        [
            {"ifname": "lo", "addr_info": []},
            {
                "ifname": "leaf-1",
                "addr_info": [
                    {"local": "172.31.241.5", "prefixlen": 30, "scope": "global"},
                    {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
                    {"local": "fd00:1b:241:1::1", "prefixlen": 64, "scope": "global"},
                ],
            },
        ]
    )
)
LEG4 = LegAddress(build.ip("172.31.241.6"), "02:00:00:00:00:06")
LEG6 = LegAddress(build.ip("fd00:1b:241:1::2"), "02:00:00:00:00:06")
WANTED = {**routes.ways({1: (LEG4, LEG6)}, LINKS), routes.reject(build.ip("198.18.0.1")): ""}


def test_the_device_is_that_of_the_narrowest_network() -> None:
    assert routes.device_to(LEG4.address, LINKS) == "leaf-1"
    assert routes.device_to(build.ip("192.0.2.1"), LINKS) == ""


def test_a_leg_on_no_network_of_the_router_is_left_out() -> None:
    far = LegAddress(build.ip("192.0.2.1"), "")
    assert routes.ways({1: (far,)}, LINKS) == {}


def test_next_hops_come_before_what_points_at_them_and_go_after() -> None:
    up, down = delta.diff(WANTED, {}), delta.diff({}, WANTED)
    assert routes.render_upserts(up, 4).splitlines() == [
        "neigh replace 172.31.241.6 dev leaf-1 lladdr 02:00:00:00:00:06 nud permanent protocol 27",
        "route replace default via 172.31.241.6 dev leaf-1 table 7001 proto 27",
        "rule add fwmark 0x1b000001 lookup 7001 pref 7001 protocol 27",
        "route replace unreachable 198.18.0.1 proto 27",
    ]
    assert routes.render_deletes(down, 4).splitlines() == [
        "route del unreachable 198.18.0.1 proto 27",
        "rule del pref 7001 lookup 7001 protocol 27",
        "route del default table 7001 proto 27",
        "neigh del 172.31.241.6 dev leaf-1",
    ]
    assert len(routes.render_upserts(up, 6).splitlines()) == 3


def test_what_ip_lists_is_read_back() -> None:
    listed_routes = [
        {"dst": "default", "gateway": "172.31.241.6", "dev": "leaf-1", "table": "7001"},
        {"type": "unreachable", "dst": "198.18.0.1", "flags": []},
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "table": "52"},
    ]
    rules = [
        {"priority": 0, "src": "all", "table": "local"},
        {"priority": 7001, "fwmark": "0x1b000001", "table": "7001", "protocol": "27"},
        {"priority": 7002, "fwmark": "0x5", "table": "7002"},
    ]
    neighbours = [
        {"dst": "172.31.241.6", "dev": "leaf-1", "lladdr": "02:00:00:00:00:06", "protocol": "27"},
        {"dst": "172.31.241.9", "dev": "leaf-1", "lladdr": "02:00:00:00:00:09"},
    ]
    found = routes.parse(4, *map(json.dumps, (listed_routes, rules, neighbours)))
    assert found == {key: value for key, value in WANTED.items() if key.version == 4}


def test_an_empty_answer_is_nothing() -> None:
    assert routes.parse(6, "", "[{}]", "") == {}


def test_legs_are_known_by_their_next_hops() -> None:
    assert routes.leg_addresses(WANTED) == {1: frozenset({LEG4.address, LEG6.address})}
