"""Facts of the switch out of its database."""

from typing import Any

import pytest

import dataplane_builders as build
from lbctl.model import errors
from lbctl_dataplane.backends.ovs import ground, ovsdb
from lbctl_dataplane.rules.ovs import pipeline

NAMES = ground.Names("br-int", "svc0")


def interface(name: str, ofport: Any, mac: Any = "02:00:00:00:00:aa", **ids: str) -> dict[str, Any]:
    pairs = [[key.replace("_", "-"), value] for key, value in ids.items()]
    return {
        "name": name,
        "type": "",
        "ofport": ofport,
        "mac_in_use": mac,
        "external_ids": ["map", pairs],
    }


def rows(*interfaces: dict[str, Any], datapath: str = "netdev") -> dict[str, Any]:
    names = [entry["name"] for entry in interfaces]
    ports = {f"p-{n}": {"name": n, "interfaces": ["uuid", f"i-{n}"]} for n in names}
    return {
        "Bridge": {
            "b": {
                "name": "br-int",
                "datapath_type": datapath,
                "ports": ["set", [["uuid", port] for port in ports]],
            }
        },
        "Port": ports,
        "Interface": {f"i-{entry['name']}": entry for entry in interfaces},
    }


BRIDGE = interface("br-int", 65534, "02:00:00:00:00:01")
SERVICE = interface("svc0", 100)
POD = interface(
    "veth1", 5, attached_mac="02:00:00:00:01:01", pod_ip="10.0.0.1", pod_ip6="fd00::1", iface_id="p"
)


def test_ports_of_pods_are_known_by_address() -> None:
    found = ground.read(rows(BRIDGE, SERVICE, POD), NAMES)
    port = pipeline.PodPort(5, "02:00:00:00:01:01", "veth1")
    assert found.ground.pods == {build.ip("10.0.0.1"): port, build.ip("fd00::1"): port}
    assert found.ground.service_port == 100
    assert found.ground.gateway_mac == "02:00:00:00:00:01"
    assert found.devices == ("svc0", "veth1")


def test_ports_that_are_not_up_or_no_pods_are_left_alone() -> None:
    coming = interface("veth2", ["set", []], attached_mac="02:00:00:00:01:02", pod_ip="10.0.0.2")
    failed = interface("veth3", -1, attached_mac="02:00:00:00:01:03", pod_ip="10.0.0.3")
    other = interface("vxlan0", 9)
    found = ground.read(rows(BRIDGE, SERVICE, coming, failed, other), NAMES)
    assert found.ground.pods == {}
    assert found.devices == ("svc0",)


def test_the_kernels_own_datapath_is_not_guarded() -> None:
    assert ground.read(rows(BRIDGE, SERVICE, POD, datapath="system"), NAMES).devices == ()


def test_what_is_missing_is_named_with_its_setting() -> None:
    with pytest.raises(errors.Unavailable, match=r"agent\.serviceInterface"):
        ground.read(rows(BRIDGE), NAMES)
    with pytest.raises(errors.Unavailable, match=r"agent\.bridge"):
        ground.read({"Bridge": {}, "Port": {}, "Interface": {}}, NAMES)


def test_columns_are_read_as_rfc_7047_writes_them() -> None:
    assert ovsdb.uuids(["uuid", "a"]) == ("a",)
    assert ovsdb.uuids(["set", [["uuid", "a"], ["uuid", "b"]]]) == ("a", "b")
    assert ovsdb.scalar(["set", []]) is None
    assert ovsdb.scalar(5) == 5
