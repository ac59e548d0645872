"""The log lines about a new virtual service, with AKO's keys."""

import json
from typing import Any

import pytest

import builders
import controller_builders
from lbctl.plan import decision, records


def birth(**spec: Any) -> tuple[str, ...]:
    obj = builders.service(**spec)
    view = builders.view(obj, allocations=(controller_builders.allocation(),))
    assert view.service is not None
    wanted = decision.desired_decision(view, view.service, builders.NOW)
    return records.birth_records(wanted, records.Context("admin"))


def test_the_key_is_akos() -> None:
    assert records.log_key("default", "kuard") == "L4LBService/default/kuard"


def test_type_virtual_service_and_each_pool_have_a_line_in_this_order() -> None:
    first, second, *pools = birth(ports=[{"port": 80, "name": "a"}, {"port": 81, "name": "b"}])
    assert first == "service is of type LoadBalancer, building a dedicated virtual service"
    assert second.startswith("virtual service: {")
    assert [line.partition("{")[0] for line in pools] == ["pool: ", "pool: "]


def test_the_virtual_service_says_where_and_under_which_name_it_is_reached() -> None:
    found = json.loads(birth()[1].removeprefix("virtual service: "))
    assert found["Name"] == "lab--default-kuard"
    assert found["Tenant"] == "admin"
    assert found["PortProto"] == [{"Port": 8080, "Protocol": "TCP", "Name": "", "EnableSSL": False}]
    assert found["VSVIPRefs"][0]["FQDNs"] == ["kuard.default.lb.example"]
    assert found["VSVIPRefs"][0]["IPAddresses"] == ["192.0.2.1"]
    assert found["ServiceMetadata"]["svc_name"] == "kuard"


def test_a_pool_says_its_port() -> None:
    found = json.loads(birth()[2].removeprefix("pool: "))
    assert found == {
        "Name": "lab--default-kuard--8080",
        "Port": 8080,
        "Protocol": "TCP",
        "Tenant": "admin",
    }


@pytest.mark.parametrize(
    ("protocols", "profile"),
    [
        (("TCP",), "System-TCP-Fast-Path"),
        (("UDP",), "System-UDP-Fast-Path"),
        (("TCP", "UDP"), "System-TCP-Fast-Path"),
    ],
)
def test_the_network_profile_is_udps_only_when_all_ports_are(
    protocols: tuple[str, ...], profile: str
) -> None:
    ports = [{"port": 53, "protocol": name, "name": name.lower()} for name in protocols]
    found = json.loads(birth(ports=ports)[1].removeprefix("virtual service: "))
    assert found["NetworkProfile"] == profile
