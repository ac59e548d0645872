"""The flows by which a switch forwards to peers."""

import ipaddress
from collections import Counter
from dataclasses import replace

import dataplane_builders as build
from lbctl_dataplane.rules import asking, constants
from lbctl_dataplane.rules.frontend import Place
from lbctl_dataplane.rules.ovs import openflow, peers
from lbctl_dataplane.rules.ovs.openflow import FlowKey
from lbctl_dataplane.rules.ovs.peers import FlowsDrawing, Part
from lbctl_dataplane.rules.ovs.pipeline import Ground
from lbctl_dataplane.rules.peers import layout
from lbctl_dataplane.rules.peers.peering import Ground as Around
from lbctl_dataplane.rules.peers.peering import Passed, Share
from lbctl_dataplane.rules.router import legs
from lbctl_dataplane.rules.router.legs import LegAddress, ServingNode
from lbctl_dataplane.rules.tables.elements import Element

OWN, PEER = "02:00:00:00:00:01", "02:00:00:00:00:02"
LINK = (ipaddress.ip_network("172.31.240.0/24"),)
SWITCH = Ground(100, OWN, "02:1b:c7:00:00:01", legs=(build.ip("172.31.240.11"),))
AROUND = Around("node-1", LINK)
NUMBER = 0x8123_4567


def node(number: int, mac: str, address: str = "") -> ServingNode:
    leg = LegAddress(build.ip(address or f"172.31.240.1{number}"), mac)
    forwarding = legs.Forwarding(everywhere=False, networks=LINK)
    return ServingNode(f"node-{number}", (leg,), 5, 5, backend="ovs", forwarding=forwarding)


NODES = {"node-1": node(1, OWN), "node-2": node(2, PEER)}


def share(number: int, weight: int = 1) -> Share:
    leg = NODES[f"node-{number}"].legs[0]
    return Share(f"node-{number}", layout.HERE if number == 1 else NUMBER, leg, weight)


def passed(place: Place, *shares: Share, by_client: bool = False, linger: int = 0) -> Passed:
    holders = {one.name: one.number for one in shares} or {"node-2": linger}
    return Passed(place, holders, shares, by_client)


def drawn(found: Passed) -> Part:
    return FlowsDrawing(SWITCH, {4: "172.31.240.1"}).place(found, NODES)


def in_table(part: Part, table: int) -> dict[str, str]:
    return {key.match: actions for key, actions in part.flows.items() if key.table == table}


def test_a_peer_gets_packets_as_they_are_but_for_the_link() -> None:
    flows = in_table(drawn(passed(build.place(), share(2))), constants.TABLE_PEERS)
    actions = flows[f"tcp,reg0={NUMBER:#x},nw_dst=198.18.0.1,tp_dst=80"]
    sent = f"set_field:{OWN}->eth_src,set_field:{PEER}->eth_dst,dec_ttl,IN_PORT"
    assert actions.endswith(f"),{sent}")


def test_what_stays_here_goes_on_as_if_there_were_no_peers() -> None:
    flows = in_table(drawn(passed(build.place(), share(1), share(2))), constants.TABLE_PEERS)
    actions = flows[f"tcp,reg0={layout.HERE:#x},nw_dst=198.18.0.1,tp_dst=80"]
    assert actions.endswith("),ct(table=21,zone=10,nat)")


def test_half_a_connection_is_remembered_for_less_time() -> None:
    flows = in_table(drawn(passed(build.place(), share(2))), constants.TABLE_PEERS)
    match = f"tcp,reg0={NUMBER:#x},nw_dst=198.18.0.1,tp_dst=80"
    assert "idle_timeout=30,priority=100," in flows[f"{match},tcp_flags=+syn"]
    assert "idle_timeout=3600,fin_idle_timeout=30,priority=200," in flows[match]


def test_datagrams_are_remembered_by_both_addresses_and_ports() -> None:
    for vip, family in (("198.18.0.1", "NXM_OF_IP"), ("2001:2::1", "NXM_NX_IPV6")):
        place = build.place(vip, "UDP")
        leg = (
            node(2, PEER).legs[0] if place.vip.version == 4 else LegAddress(build.ip("fd::2"), PEER)
        )
        nodes = {"node-2": replace(NODES["node-2"], legs=(leg,))}
        part = FlowsDrawing(SWITCH, {}).place(passed(place, replace(share(2), leg=leg)), nodes)
        (learn,) = (text for text in part.flows.values() if "learn" in text)
        assert f"{family}_SRC[],{family}_DST[],NXM_OF_UDP_SRC[],NXM_OF_UDP_DST[]," in learn
        assert f"idle_timeout={layout.DATAGRAM_S}" in learn


def test_who_only_lingers_keeps_flows_and_is_chosen_by_nobody() -> None:
    part = drawn(passed(build.place(), linger=NUMBER))
    assert part.groups == {}
    assert part.spared == {Element("kept4", "198.18.0.1 . 6 . 80"): ()}
    assert f"tcp,reg0={NUMBER:#x},nw_dst=198.18.0.1,tp_dst=80" in in_table(part, 30)


def test_clients_of_what_is_passed_on_are_not_refused() -> None:
    spared = drawn(passed(build.place(), share(2))).spared
    assert {entry.home for entry in spared} == {"taking4", "kept4"}


def test_nodes_have_buckets_by_their_weights_with_the_same_numbers_everywhere() -> None:
    shares = (share(1, 2), share(2, 4))
    (body,) = drawn(passed(build.place(), *shares)).groups.values()
    assert body.startswith("type=select,selection_method=hash,fields(ip_src,tcp_src),bucket=")
    assert (body.count("0x1->reg0"), body.count(f"{NUMBER:#x}->reg0")) == (1, 2)
    other = replace(shares[0], number=NUMBER), replace(shares[1], number=layout.HERE)
    (mirrored,) = drawn(passed(build.place(), *other)).groups.values()
    numbers = [part.partition(",")[0] for part in body.split("bucket_id:")]
    assert numbers == [part.partition(",")[0] for part in mirrored.split("bucket_id:")]


def test_large_weights_make_a_group_of_bounded_size() -> None:
    shares = (share(1, 1), share(2, 99_999))
    (body,) = drawn(passed(build.place(), *shares)).groups.values()
    kinds = Counter(part.partition(",")[0] for part in body.split("set_field:")[1:])
    assert len(kinds) == 2
    assert kinds.total() <= peers.MOST_BUCKETS + 1


def test_affinity_leaves_the_port_out() -> None:
    (body,) = drawn(passed(build.place(), share(2), by_client=True)).groups.values()
    assert ",fields=ip_src,bucket=" in body


def test_what_peers_send_is_told_by_where_it_comes_from_and_goes_no_further() -> None:
    part = FlowsDrawing(SWITCH, {4: "172.31.240.1"}).frame(NODES, AROUND)
    entry = in_table(part, constants.TABLE_ENTRY)
    assert entry[f"in_port=100,dl_src={PEER}"] == "goto_table:32"
    assert f"in_port=100,dl_src={OWN}" not in entry
    arrived = in_table(part, constants.TABLE_ARRIVED)
    assert set(arrived) == {"tcp", "udp", "sctp", "tcp6", "udp6", "sctp6", ""}
    assert arrived["udp"] == "resubmit(,33),ct(table=21,zone=10,nat)"


def test_a_named_gateway_is_learned_else_who_asks_for_the_leg() -> None:
    named = FlowsDrawing(SWITCH, {4: "172.31.240.1"}).frame(NODES, AROUND)
    assert "arp,in_port=100,arp_spa=172.31.240.1" in in_table(named, constants.TABLE_ENTRY)
    unnamed = FlowsDrawing(SWITCH, {}).frame(NODES, AROUND)
    assert "arp,in_port=100,arp_tpa=172.31.240.11,arp_op=1" in in_table(unnamed, 0)


def test_without_a_link_that_is_known_nothing_is_there() -> None:
    assert FlowsDrawing(SWITCH, {}).frame(NODES, Around("node-1")) == Part()


def test_peers_on_other_links_are_not_told_by_their_mac() -> None:
    nodes = {**NODES, "node-2": node(2, PEER, "172.31.241.12")}
    entry = in_table(FlowsDrawing(SWITCH, {}).frame(nodes, AROUND), constants.TABLE_ENTRY)
    assert not any("dl_src" in match for match in entry)


def test_a_peer_that_does_not_say_its_mac_is_sent_nothing() -> None:
    found = peers.addressed({**NODES, "node-3": node(3, "")})
    assert [name for name, known in found.items() if known.legs] == ["node-1", "node-2"]


def test_what_is_learned_is_not_read_as_ours_and_the_groups_are() -> None:
    assert constants.PEER_COOKIE & constants.COOKIE_MASK != constants.COOKIE
    (number,) = drawn(passed(build.place(), share(2))).groups
    assert openflow.parse_groups(f" group_id={number},type=all\n") == {number: "type=all"}


def test_known_gateways_are_read_from_a_dump() -> None:
    dump = " cookie=0x1bc9, table=33, priority=100,ipv6 actions=set_field:x->eth_src\n"
    assert peers.gateways_known(dump) == {6}
    assert peers.gateways_known(f"{dump}{dump.replace('ipv6', 'ip')}") == {4, 6}


def test_a_question_for_an_ipv4_address_is_an_arp_request() -> None:
    frame = asking.question(OWN, build.ip("172.31.240.11"), build.ip("172.31.240.1"))
    assert frame.hex() == (
        "ffffffffffff02000000000108060001080006040001020000000001ac1ff00b000000000000ac1ff001"
    )


def test_a_question_for_an_ipv6_address_carries_a_right_checksum() -> None:
    frame = asking.question(OWN, build.ip("fd00:1b::1"), build.ip("fd00:1b::ffff"))
    assert frame[:6].hex() == "3333ff00ffff"
    ip, body = frame[14:54], frame[54:]
    assert (ip[6], ip[7], body[0]) == (58, 255, 135)
    pseudo = ip[8:40] + len(body).to_bytes(4, "big") + (58).to_bytes(4, "big") + body
    total = sum(int.from_bytes(pseudo[at : at + 2], "big") for at in range(0, len(pseudo), 2))
    assert total % 0xFFFF == 0


def test_a_place_that_goes_gives_its_number_back() -> None:
    drawing = FlowsDrawing(SWITCH, {})
    (number,) = drawing.place(passed(build.place(), share(2)), NODES).groups
    drawing.forget(build.place())
    assert list(drawing.place(passed(build.place(), share(2)), NODES).groups) == [number]
    assert (
        FlowKey(30, 100, "tcp,nw_dst=198.18.0.1,tp_dst=80")
        in drawn(passed(build.place(), share(2))).flows
    )
