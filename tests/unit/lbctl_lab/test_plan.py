import ipaddress
from itertools import combinations

import pytest

from lbctl_lab import networks, plan

RANGES = (
    plan.NODE_NET_V4, plan.CLIENT_NET_V4, plan.PODS_V4, plan.SERVICES_V4, plan.VIPS_V4,
    plan.NODE_NET_V6, plan.CLIENT_NET_V6, plan.PODS_V6, plan.SERVICES_V6, plan.VIPS_V6,
    *(f"{node.leg_v4}/30" for node in plan.nodes(plan.MAX_NODES)),
    *(f"{node.leg_v6}/64" for node in plan.nodes(plan.MAX_NODES)),
)  # fmt: skip


def test_no_two_ranges_of_the_lab_overlap():
    nets = [ipaddress.ip_network(text, strict=False) for text in RANGES]
    clashes = [
        (str(one), str(other))
        for one, other in combinations(nets, 2)
        if one.version == other.version and one.overlaps(other)
    ]
    assert clashes == []


@pytest.mark.parametrize("node", plan.nodes(plan.MAX_NODES), ids=lambda node: node.name)
def test_a_nodes_addresses_lie_in_the_ranges_they_belong_to(node):
    inside = {
        node.address_v4: plan.NODE_NET_V4,
        node.address_v6: plan.NODE_NET_V6,
        node.gateway_v4: node.pods_v4,
        node.gateway_v6: node.pods_v6,
        node.leg_router_v4: f"{node.leg_v4}/30",
        node.leg_router_v6: f"{node.leg_v6}/64",
    }
    for address, net in inside.items():
        assert ipaddress.ip_address(address) in ipaddress.ip_network(net, strict=False)
    for part, whole in ((node.pods_v4, plan.PODS_V4), (node.pods_v6, plan.PODS_V6)):
        assert ipaddress.ip_network(part).subnet_of(ipaddress.ip_network(whole))  # type: ignore[arg-type]


def test_leg_addresses_are_the_two_usable_ones_of_their_net():
    for node in plan.nodes(plan.MAX_NODES):
        hosts = ipaddress.ip_network(f"{node.leg_v4}/30", strict=False).hosts()
        assert [str(host) for host in hosts] == [node.leg_router_v4, node.leg_v4]


def test_the_default_pool_is_inside_the_routed_vip_ranges():
    for part, whole in zip(plan.DEFAULT_POOL, (plan.VIPS_V4, plan.VIPS_V6), strict=True):
        assert ipaddress.ip_network(part).subnet_of(ipaddress.ip_network(whole))  # type: ignore[arg-type]


def test_every_mac_and_address_is_given_once():
    nodes = plan.nodes(plan.MAX_NODES)
    macs = [mac for n in nodes for mac in (n.bridge_mac, n.service_mac, n.leaf_mac, n.node_mac)]
    assert len(set(macs)) == len(macs)
    batch = [line.split() for line in (*networks.host_lines(nodes), *networks.router_lines(nodes))]
    added = [words[2] for words in batch if words[:2] == ["addr", "add"]]
    assert len(set(added)) == len(added)


@pytest.mark.parametrize("count", [0, plan.MAX_NODES + 1])
def test_a_number_of_nodes_outside_the_limits_is_refused(count):
    with pytest.raises(ValueError, match=f"nodes: {count} is not between 1 and 3"):
        plan.nodes(count)


def test_the_router_has_no_default_route_and_no_route_to_vips():
    lines = "\n".join(networks.router_lines(plan.nodes(2)))
    assert "default" not in lines
    assert plan.VIPS_V4 not in lines
    assert plan.VIPS_V6 not in lines


def test_every_host_interface_carries_the_labs_prefix():
    made = [line.split()[2] for line in networks.host_lines(plan.nodes(3)) if "link add" in line]
    assert len(made) == 5
    assert all(name.startswith(plan.PREFIX) and len(name) < 16 for name in made)
