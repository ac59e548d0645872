import ipaddress
from itertools import combinations

import pytest

from lbctl_lab import networks, plan, pod_networks

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


CNIS = pytest.mark.parametrize("cni", plan.CNIS)


@CNIS
def test_every_mac_and_address_is_given_once(cni):
    nodes = plan.nodes(plan.MAX_NODES)
    macs = [
        mac
        for n in nodes
        for mac in (n.bridge_mac, n.service_mac, n.leaf_mac, n.node_mac, n.overlay_mac)
    ]
    assert len(set(macs)) == len(macs)
    parts = [networks.host_lines(nodes, cni), networks.router_lines(nodes, cni)]
    parts += [networks.node_lines(node, nodes, cni) for node in nodes]
    batch = [line.split() for part in parts for line in part]
    added = [words[2] for words in batch if words[:2] == ["addr", "add"]]
    assert len(set(added)) == len(added)


@pytest.mark.parametrize("count", [0, plan.MAX_NODES + 1])
def test_a_number_of_nodes_outside_the_limits_is_refused(count):
    with pytest.raises(ValueError, match=f"nodes: {count} is not between 1 and 3"):
        plan.nodes(count)


@CNIS
def test_the_router_has_no_default_route_and_no_route_to_vips(cni):
    lines = "\n".join(networks.router_lines(plan.nodes(2), cni))
    assert "default" not in lines
    assert plan.VIPS_V4 not in lines
    assert plan.VIPS_V6 not in lines


@CNIS
def test_every_host_interface_carries_the_labs_prefix(cni):
    lines = networks.host_lines(plan.nodes(3), cni)
    made = [line.split()[2] for line in lines if "link add" in line]
    assert len(made) == 5
    assert all(name.startswith(plan.PREFIX) and len(name) < 16 for name in made)


@pytest.mark.parametrize(("cni", "known"), [("ovs", True), ("bridge", True), ("vxlan", False)])
def test_only_pods_of_an_overlay_are_unknown_outside_of_the_cluster(cni, known):
    nodes = plan.nodes(2)
    for lines in (networks.host_lines(nodes, cni), networks.router_lines(nodes, cni)):
        for pods in (nodes[0].pods_v4, nodes[0].pods_v6):
            assert any(line.startswith(f"route add {pods} ") for line in lines) is known


def test_pods_of_other_nodes_are_reached_through_the_overlay_alone():
    one, two = nodes = plan.nodes(2)
    lines = networks.node_lines(one, nodes, "vxlan")
    for pods in (two.pods_v4, two.pods_v6):
        (way,) = (line for line in lines if line.startswith(f"route add {pods} "))
        assert way.endswith(f"dev {plan.OVERLAY} onlink")
    (entry,) = pod_networks.overlay_peers(one, nodes)
    assert two.overlay_mac in entry
    assert entry.split()[-3] == two.address_v4


@pytest.mark.parametrize(("cni", "carried"), [("ovs", False), ("bridge", True), ("vxlan", True)])
def test_the_service_leg_has_its_addresses_of_the_kernel_unless_it_is_a_port(cni, carried):
    one, *_ = nodes = plan.nodes(2)
    lines = networks.node_lines(one, nodes, cni)
    assert (f"addr add {one.leg_v4}/30 dev svc0" in lines) is carried


@pytest.mark.parametrize(
    ("backend", "asked", "given"),
    [("ovs", None, "ovs"), ("nft", None, "bridge"), ("nft", "vxlan", "vxlan")],
)
def test_a_backend_has_a_pod_network_of_its_own_choice(backend, asked, given):
    assert plan.cni_for(backend, asked) == given


@pytest.mark.parametrize(("backend", "asked"), [("ovs", "bridge"), ("nft", "ovs")])
def test_a_pod_network_that_a_backend_cannot_serve_is_refused(backend, asked):
    with pytest.raises(ValueError, match=f"backend {backend} works with pods by"):
        plan.cni_for(backend, asked)
