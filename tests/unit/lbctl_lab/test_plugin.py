import json

import pytest

from lbctl_lab import nodes, plan
from lbctl_lab.cni import plugin

NODE = plan.nodes(1)[0]
CONFIG = plugin.parse_config(nodes.cni_config(NODE, "ovs"))
ENV = {
    "CNI_CONTAINERID": "abc123",
    "CNI_NETNS": "/run/x",
    "CNI_IFNAME": "eth0",
    "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=kuard-1",
}
POD = plugin.parse_pod(ENV)
ADDRESSES = ["10.244.71.2", "fd00:10:244:71::2"]


def test_the_nodes_configuration_is_one_the_plugin_reads():
    assert CONFIG.bridge == plan.INTEGRATION_BRIDGE
    assert CONFIG.gateways == (NODE.gateway_v4, NODE.gateway_v6)
    ranges = json.loads(CONFIG.raw)["ipam"]["ranges"]
    assert ranges == [[{"subnet": NODE.pods_v4}], [{"subnet": NODE.pods_v6}]]


def test_the_pod_is_read_from_the_calls_environment():
    assert (POD.namespace, POD.name, POD.interface) == ("default", "kuard-1", "eth0")


def test_the_port_fits_the_kernels_limit_and_differs_by_sandbox():
    other = plugin.parse_pod({**ENV, "CNI_CONTAINERID": "abc124"})
    assert len(POD.port) <= 15
    assert POD.port != other.port
    assert POD.mac != other.mac


def test_a_pods_mac_is_unicast_and_locally_administered():
    first = int(POD.mac.split(":")[0], 16)
    assert (first & 1, first & 2) == (0, 2)
    assert len(POD.mac.split(":")) == 6


def test_a_pod_gets_host_addresses_so_that_all_its_traffic_takes_the_gateway():
    lines = plugin.pod_lines(POD, ADDRESSES, CONFIG.gateways)
    assert "addr add 10.244.71.2/32 dev eth0" in lines
    assert "addr add fd00:10:244:71::2/128 dev eth0 nodad" in lines
    assert f"route add 0.0.0.0/0 via {NODE.gateway_v4} dev eth0" in lines
    assert f"route add ::/0 via {NODE.gateway_v6} dev eth0" in lines


def test_the_link_is_up_before_its_routes_are_added():
    lines = plugin.pod_lines(POD, ADDRESSES, CONFIG.gateways)
    assert max(i for i, line in enumerate(lines) if "link set" in line) < min(
        i for i, line in enumerate(lines) if "route add" in line
    )


def test_the_port_carries_what_an_agent_learns_pods_from():
    words = plugin.port_words(CONFIG, POD, ADDRESSES)
    assert 'external_ids:pod-ip="10.244.71.2"' in words
    assert 'external_ids:pod-ip6="fd00:10:244:71::2"' in words
    assert f'external_ids:attached-mac="{POD.mac}"' in words
    assert 'external_ids:iface-id="default/kuard-1"' in words


def test_the_result_names_each_address_with_its_familys_gateway():
    ips = json.loads(plugin.result(CONFIG, POD, ADDRESSES))["ips"]
    assert [(ip["address"], ip["gateway"]) for ip in ips] == [
        ("10.244.71.2/32", NODE.gateway_v4),
        ("fd00:10:244:71::2/128", NODE.gateway_v6),
    ]


def test_where_there_is_no_switch_the_port_joins_the_kernels_bridge_with_the_networks_mtu():
    config = plugin.parse_config(nodes.cni_config(NODE, "vxlan"))
    lines = plugin.host_lines(config, POD)
    assert f"link set {POD.port} master {plan.POD_BRIDGE}" in lines
    assert lines[0].count("mtu 1450") == 2
    assert not any("master" in line for line in plugin.host_lines(CONFIG, POD))


def test_a_failing_command_is_named_with_what_it_said():
    with pytest.raises(plugin.PluginError, match="sh: broken"):
        plugin.run(["sh", "-c", "echo broken >&2; exit 3"])
