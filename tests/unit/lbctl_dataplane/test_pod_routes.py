"""Which addresses a node reaches by itself."""

import json

import pytest

import dataplane_builders as build
from lbctl_dataplane.rules import pod_routes

FOUR = [
    {"dst": "default", "gateway": "172.31.240.1", "dev": "eth0"},
    {"dst": "10.244.71.11", "dev": "pod1", "scope": "link"},
    {"dst": "10.244.72.0/24", "gateway": "172.31.240.12", "dev": "eth0"},
    {"dst": "10.245.0.0/24", "dev": "cni0", "prefsrc": "10.245.0.1"},
    {"dst": "10.246.0.0/24", "dev": "svc0"},
    {"type": "blackhole", "dst": "10.244.71.0/26"},
    {"dst": "10.247.0.0/24", "dev": "cni0", "metric": 10},
    {"dst": "10.247.0.0/24", "gateway": "172.31.240.9", "dev": "eth0", "metric": 20},
    {"dst": "10.248.0.0/24", "nexthops": [{"via": {"host": "fe80::1"}, "dev": "eth0"}]},
]
SIX = [{"dst": "fd00::1", "dev": "pod1"}, {"dst": "default", "gateway": "fe80::1", "dev": "eth0"}]


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        ("10.244.71.11", True),
        ("10.245.0.9", True),
        ("fd00::1", True),
        ("10.247.0.1", True),
        ("10.244.71.12", False),
        ("10.244.72.9", False),
        ("10.246.0.9", False),
        ("10.248.0.9", False),
        ("192.0.2.1", False),
        ("fd00::2", False),
    ],
)
def test_what_is_behind_a_device_of_the_node_is_reached(address: str, ours: bool) -> None:
    routes = pod_routes.parse({4: json.dumps(FOUR), 6: json.dumps(SIX)}, ["svc0"])
    assert routes.lead_to(build.ip(address)) is ours


def test_without_routes_nothing_is_reached() -> None:
    assert not pod_routes.parse({4: "", 6: "[]"}, ["svc0"]).lead_to(build.ip("10.0.0.1"))


LINKS = [
    {
        "ifname": "lo",
        "addr_info": [
            {"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host"},
            {"family": "inet6", "local": "::1", "prefixlen": 128, "scope": "host"},
        ],
    },
    {
        "ifname": "svc0",
        "addr_info": [
            {"family": "inet", "local": "10.246.0.2", "prefixlen": 24, "scope": "global"},
            {"family": "inet6", "local": "fe80::2", "prefixlen": 64, "scope": "link"},
            {},
        ],
    },
    {"ifname": "pod1"},
]


@pytest.mark.parametrize(
    ("address", "ours"),
    [("10.246.0.2", True), ("10.246.0.9", False), ("127.0.0.1", False), ("fe80::2", False)],
)
def test_the_node_itself_is_reached_also_by_the_fabrics_device(address: str, ours: bool) -> None:
    own = pod_routes.parse_own(json.dumps(LINKS))
    routes = pod_routes.parse({4: json.dumps(FOUR), 6: json.dumps(SIX)}, ["svc0"], own)
    assert routes.lead_to(build.ip(address)) is ours
