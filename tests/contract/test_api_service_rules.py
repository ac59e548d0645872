"""What the docs say that the API server itself takes and refuses of a Service: on the real one."""

from pathlib import Path
from typing import Any

import pytest

import api_builders
import builders
from api_builders import patched
from lbctl.kube import config, resources
from lbctl.kube.client import Client
from lbctl.kube.objects import Json
from lbctl.model import errors
from lbctl.translate.annotations import SOURCE_RANGES
from lbctl.translate.serving_nodes import parse_agent

pytestmark = pytest.mark.root
SERVICES = resources.SERVICES


@pytest.fixture
def ask(real_api: Path) -> api_builders.Ask:
    cluster = config.load(real_api)
    return lambda body: api_builders.ask(body, cluster)


def service(name: str, annotations: dict[str, str] | None = None, **spec: Any) -> Json:
    obj = api_builders.service(name)
    obj["metadata"]["annotations"] = annotations or {}
    obj["spec"] |= spec
    return obj


REFUSED: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "headless": ({}, {"clusterIP": "None"}),
    "a range that is no CIDR": ({}, {"loadBalancerSourceRanges": ["203.0.113.7"]}),
    "the same in the annotation": ({SOURCE_RANGES: "kuard"}, {}),
    "a class with blanks": ({}, {"loadBalancerClass": "not a class"}),
    "no ports": ({}, {"ports": []}),
    "one port twice": ({}, {"ports": [{"name": n, "port": 80} for n in ("a", "b")]}),
    "a protocol of its own": ({}, {"ports": [{"port": 80, "protocol": "QUIC"}]}),
    "a health check port without Local": ({}, {"healthCheckNodePort": 30999}),
    "external IPs that are none": ({}, {"externalIPs": ["kuard"]}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_api_server_refuses(ask: api_builders.Ask, name: str, case: str) -> None:
    annotations, spec = REFUSED[case]

    async def body(api: Client) -> None:
        with pytest.raises(errors.Rejected):
            await api.create(SERVICES, service(name, annotations, **spec), "default")

    ask(body)


def test_ranges_come_with_blanks_around_them_and_are_read(ask: api_builders.Ask, name: str) -> None:
    async def body(api: Client) -> None:
        asked = service(name, loadBalancerSourceRanges=[" 203.0.113.0/24 "])
        made = await api.create(SERVICES, asked, "default")
        assert made["spec"]["loadBalancerSourceRanges"] == [" 203.0.113.0/24 "]
        assert builders.facts(made).policy.source_ranges == ("203.0.113.0/24",)

    ask(body)


def test_protocols_may_be_mixed_on_one_number(ask: api_builders.Ask, name: str) -> None:
    async def body(api: Client) -> None:
        ports = [
            {"name": protocol.lower(), "port": 53, "protocol": protocol}
            for protocol in ("TCP", "UDP", "SCTP")
        ]
        made = await api.create(SERVICES, service(name, ports=ports), "default")
        found = [(port.protocol, port.port) for port in builders.facts(made).ports]
        assert found == [("TCP", 53), ("UDP", 53), ("SCTP", 53)]

    ask(body)


def test_an_error_of_a_port_stands_beside_the_address(ask: api_builders.Ask, name: str) -> None:
    async def body(api: Client) -> None:
        await api.create(SERVICES, service(name), "default")
        ports = [{"port": 80, "protocol": "TCP", "error": "lbctl.io/ProtocolNotServed"}]
        ingress = [{"ip": "192.0.2.1", "ipMode": "VIP", "ports": ports}]
        shown = {"status": {"loadBalancer": {"ingress": ingress}}}
        after = await patched(api, name, shown, "status")
        assert after["status"]["loadBalancer"]["ingress"] == ingress
        (found,) = builders.facts(after).shown_port_errors
        assert (found.port, found.protocol, found.error) == (80, "TCP", ports[0]["error"])

    ask(body)


def test_without_node_ports_there_are_none_and_they_may_come_later(
    ask: api_builders.Ask, name: str
) -> None:
    async def body(api: Client) -> None:
        asked = service(name, allocateLoadBalancerNodePorts=False)
        made = await api.create(SERVICES, asked, "default")
        assert "nodePort" not in made["spec"]["ports"][0]
        after = await patched(api, name, {"spec": {"allocateLoadBalancerNodePorts": True}})
        assert after["spec"]["ports"][0]["nodePort"] > 0

    ask(body)


def test_the_class_is_set_once_and_goes_with_the_type(ask: api_builders.Ask, name: str) -> None:
    async def body(api: Client) -> None:
        made = await api.create(
            SERVICES, service(name, loadBalancerClass="lbctl.io/lbctl"), "default"
        )
        assert made["spec"]["loadBalancerClass"] == "lbctl.io/lbctl"
        with pytest.raises(errors.Rejected):
            await patched(api, name, {"spec": {"loadBalancerClass": "other.io/lb"}})
        after = await patched(api, name, {"spec": {"type": "ClusterIP"}})
        assert "loadBalancerClass" not in after["spec"]
        assert "allocateLoadBalancerNodePorts" not in after["spec"]
        again = await patched(api, name, {"spec": {"type": "LoadBalancer"}})
        assert "loadBalancerClass" not in again["spec"]

    ask(body)


def test_the_health_check_port_comes_and_goes_with_the_traffic_policy(
    ask: api_builders.Ask, name: str
) -> None:
    async def body(api: Client) -> None:
        made = await api.create(SERVICES, service(name, externalTrafficPolicy="Local"), "default")
        assert made["spec"]["healthCheckNodePort"] > 0
        after = await patched(api, name, {"spec": {"externalTrafficPolicy": "Cluster"}})
        assert "healthCheckNodePort" not in after["spec"]

    ask(body)


def test_the_mode_of_an_address_is_vip_unless_it_says_otherwise(
    ask: api_builders.Ask, name: str
) -> None:
    async def body(api: Client) -> None:
        await api.create(SERVICES, service(name), "default")
        shown = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
        after = await patched(api, name, shown, "status")
        assert after["status"]["loadBalancer"]["ingress"] == [{"ip": "192.0.2.1", "ipMode": "VIP"}]

    ask(body)


def test_a_serving_nodes_exclusion_is_kept(ask: api_builders.Ask, name: str) -> None:
    async def body(api: Client) -> None:
        obj = {"metadata": {"name": name}, "spec": {"role": "node", "excluded": "label x"}}
        made = await api.create(resources.SERVING_NODES, obj)
        assert parse_agent(made, live=True).excluded == "label x"

    ask(body)
