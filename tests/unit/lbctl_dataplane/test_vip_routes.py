"""VIPs as addresses of a node."""

import json

import dataplane_builders as build
from lbctl.delta import Delta
from lbctl_dataplane.rules.ipvs import vip_routes

FOUR, SIX = build.ip("198.18.0.1"), build.ip("2001:2::1")


def test_each_version_has_its_lines() -> None:
    change = Delta({FOUR: "", SIX: ""}, frozenset({build.ip("198.18.0.2")}))
    assert vip_routes.render(change, 4) == (
        "route replace local 198.18.0.1 dev lo table local proto 27\n"
        "route del local 198.18.0.2 dev lo table local proto 27\n"
    )
    assert vip_routes.render(change, 6) == (
        "route replace local 2001:2::1 dev lo table local proto 27\n"
    )


def test_single_local_addresses_are_read_back() -> None:
    routes = [
        {"type": "local", "dst": "198.18.0.1", "dev": "lo"},
        {"type": "local", "dst": "198.18.8.0/24", "dev": "lo"},
        {"type": "unreachable", "dst": "198.18.0.2"},
    ]
    assert vip_routes.parse(json.dumps(routes)) == {FOUR: ""}
    assert vip_routes.parse("") == {}
