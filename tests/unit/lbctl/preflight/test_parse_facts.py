"""Objects and command output as facts."""

import ipaddress
from typing import Any

import pytest

from lbctl.preflight import parse
from lbctl.preflight.facts import Definition, Proxy


@pytest.mark.parametrize(("minor", "number"), [("36", 36), ("30+", 30)])
def test_versions_of_vendors_are_read(minor: str, number: int) -> None:
    assert parse.version({"major": "1", "minor": minor}) == (1, number)


def test_only_served_versions_count() -> None:
    versions = [{"name": "v1", "served": True}, {"name": "v0", "served": False}]
    found = parse.definition({"metadata": {"name": "a.b"}, "spec": {"versions": versions}})
    assert found == Definition("a.b", ("v1",))


def test_a_node_has_its_addresses_and_legs_but_not_its_names() -> None:
    addresses = [
        {"type": "InternalIP", "address": "10.0.0.1"},
        {"type": "Hostname", "address": "n"},
    ]
    found = parse.node(
        {
            "metadata": {
                "name": "n",
                "annotations": {"lbctl.io/legs": "10.1.0.1/24, fd00::1 via fd00::f"},
            },
            "spec": {"podCIDR": "10.2.0.0/24"},
            "status": {"addresses": addresses},
        }
    )
    assert [str(ip) for ip in found.addresses] == ["10.0.0.1", "10.1.0.1", "fd00::1"]
    assert found.pod_cidrs == ("10.2.0.0/24",)


def test_a_service_shows_addresses_or_host_names() -> None:
    ingress = [{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}]
    spec = {"type": "LoadBalancer", "loadBalancerClass": "c", "clusterIPs": ["10.0.0.1", "None"]}
    found = parse.service(
        {
            "metadata": {"namespace": "d", "name": "s"},
            "spec": spec,
            "status": {"loadBalancer": {"ingress": ingress}},
        }
    )
    assert (found.key, found.balanced, found.load_balancer_class) == ("d/s", True, "c")
    assert found.shown == ("192.0.2.1", "lb.example.com")
    assert found.cluster_ips == (ipaddress.ip_address("10.0.0.1"),)


CONTAINER = {"command": ["/x"], "args": ["--a=b"], "env": [{"name": "svc_enable", "value": "true"}]}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Pod", {"containers": [CONTAINER]}),
        ("Deployment", {"template": {"spec": {"containers": [CONTAINER]}}}),
    ],
)
def test_a_workload_tells_its_arguments_and_variables(kind: str, spec: Any) -> None:
    found = parse.workload(kind, {"metadata": {"namespace": "k", "name": "w"}, "spec": spec})
    assert found.arguments == ("/x", "--a=b", "svc_enable=true")
    assert str(found) == f"{kind} k/w"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mode: ipvs\nipvs: {strictARP: true}", Proxy("ipvs", True)),
        ('mode: ""\nipvs: null', Proxy("iptables", False)),
    ],
)
def test_the_mode_of_kube_proxy_is_in_its_config(text: str, expected: Proxy) -> None:
    assert parse.proxy({"data": {"config.conf": text}}) == expected


@pytest.mark.parametrize("config_map", [{}, {"data": {"config.conf": "["}}])
def test_a_config_map_of_another_form_is_refused(config_map: Any) -> None:
    with pytest.raises(ValueError, match=r"config\.conf"):
        parse.proxy(config_map)


def test_resolvers_are_read_and_default_to_this_machine() -> None:
    assert parse.name_servers("search x\nnameserver 192.0.2.1\nnameserver ::1") == [
        "192.0.2.1",
        "::1",
    ]
    assert parse.name_servers("# nothing") == ["127.0.0.1"]


def test_pods_are_told_from_other_interfaces_by_their_mac() -> None:
    rows = (
        '{"data":[["veth1",["map",[["attached-mac","02:00:00:00:00:01"]]]],["svc0",["map",[]]]],'
        '"headings":["name","external_ids"]}'
    )
    assert parse.pod_devices(rows) == ("veth1",)


@pytest.mark.parametrize("text", ["", "{}", '{"data": [1]}'])
def test_a_table_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse.pod_devices(text)
