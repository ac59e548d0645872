"""Flows and groups of a node."""

import dataclasses
import re
from typing import Any

import pytest

import dataplane_builders as build
import dataplane_whole as whole
from lbctl.model.policy import Limits
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.nft import limits
from lbctl_dataplane.rules.ovs import openflow, pipeline
from lbctl_dataplane.rules.ovs.openflow import FlowKey, Tables

GROUND = pipeline.Ground(
    service_port=100,
    service_mac="02:00:00:00:00:64",
    gateway_mac="02:00:00:00:00:01",
    pods={
        build.ip("10.0.0.1"): pipeline.PodPort(1, "02:00:00:00:01:01", "pod1"),
        build.ip("10.0.0.2"): pipeline.PodPort(2, "02:00:00:00:01:02", "pod2"),
        build.ip("fd00::1"): pipeline.PodPort(1, "02:00:00:00:01:01", "pod1"),
    },
)
GOLDEN = """\
group add group_id=466736275,type=select,selection_method=dp_hash,bucket=bucket_id:135745097,\
actions=ct(commit,table=22,zone=10,nat(dst=10.0.0.1:8080),exec(set_field:0x1bc7->ct_mark,\
move:NXM_OF_ETH_SRC[]->NXM_NX_CT_LABEL[0..47]))
"""


def flows(tables: Tables, table: int) -> dict[str, str]:
    return {key.match: actions for key, actions in tables.flows.items() if key.table == table}


def test_a_new_connection_is_committed_to_a_member() -> None:
    tables = whole.desired([build.frontend(build.place(), "10.0.0.1")], GROUND)
    wanted = openflow.render_bundle(whole.changes(tables, whole.desired([], GROUND)))
    assert wanted.splitlines()[0] + "\n" == GOLDEN


def test_pings_are_answered_where_a_member_gets_new_connections() -> None:
    answered = "icmp,nw_dst=198.18.0.1,icmp_type=8,icmp_code=0"
    for members, lingering, expected in ((["10.0.0.1"], [], True), ([], ["10.0.0.1"], False)):
        at = build.frontend(build.place(), *members, lingering=build.members(*lingering))
        found = flows(whole.desired([at], GROUND), constants.TABLE_FABRIC)
        assert (answered in found) is expected


def test_only_packets_to_vips_with_members_get_past_the_first_table() -> None:
    silent = dataclasses.replace(GROUND, answer_pings=False)
    tables = whole.desired([build.frontend(build.place(), "10.0.0.1")], silent)
    assert flows(tables, constants.TABLE_FABRIC) == {
        "ip,nw_dst=198.18.0.1": "ct(table=21,zone=10,nat)"
    }


def test_nothing_from_the_fabric_ever_falls_to_normal() -> None:
    tables = whole.desired([build.frontend(build.place(), "10.0.0.1", "10.0.0.2")], GROUND)
    normal = [key for key, actions in tables.flows.items() if actions == "NORMAL"]
    assert normal == [FlowKey(constants.TABLE_TO_FABRIC, constants.PRIORITY_REST, "")]
    reached = {actions for key, actions in tables.flows.items() if key.table in (20, 21, 22)}
    assert not any(f"table={constants.TABLE_TO_FABRIC}" in actions for actions in reached)


def test_known_connections_pass_the_group_by() -> None:
    tables = whole.desired([build.frontend(build.place(), "10.0.0.1")], GROUND)
    known = FlowKey(21, constants.PRIORITY_KNOWN, "ct_state=-inv+trk,ct_mark=0x1bc7")
    assert tables.flows[known] == "goto_table:22"


def test_a_lingering_member_keeps_its_way_but_has_no_bucket() -> None:
    wanted = build.frontend(build.place(), "10.0.0.1", lingering=build.members("10.0.0.2"))
    tables = whole.desired([wanted], GROUND)
    (group,) = tables.groups.values()
    assert "10.0.0.2" not in group
    assert "ip,nw_dst=10.0.0.2" in flows(tables, constants.TABLE_TO_POD)
    assert "tcp,in_port=2,nw_src=10.0.0.2,tp_src=8080" in flows(tables, 0)


def test_without_usable_members_new_connections_meet_no_group() -> None:
    tables = whole.desired(
        [build.frontend(build.place(), lingering=build.members("10.0.0.2"))], GROUND
    )
    assert tables.groups == {}
    assert list(flows(tables, constants.TABLE_CONNECTION)) == ["ct_state=-inv+trk,ct_mark=0x1bc7"]


def test_a_member_without_a_port_is_left_out_and_named() -> None:
    wanted = build.frontend(build.place(), "10.0.0.9", "10.0.0.1")
    tables = whole.desired([wanted], GROUND)
    assert not any("10.0.0.9" in text for text in (*tables.groups.values(), *tables.flows.values()))
    assert pipeline.missing_pods(wanted, GROUND) == (build.ip("10.0.0.9"),)


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("192.0.2.0/24", "ct_state=+new+trk,tcp,nw_src=192.0.2.0/24,nw_dst=198.18.0.1,tp_dst=80"),
        ("192.0.2.7/32", "ct_state=+new+trk,tcp,nw_src=192.0.2.7,nw_dst=198.18.0.1,tp_dst=80"),
        ("0.0.0.0/0", "ct_state=+new+trk,tcp,nw_dst=198.18.0.1,tp_dst=80"),
    ],
)
def test_source_ranges_are_matched_as_the_switch_prints_them(source: str, match: str) -> None:
    wanted = build.frontend(build.place(), "10.0.0.1", source_ranges=(source,), open_to_all=False)
    assert match in flows(whole.desired([wanted], GROUND), constants.TABLE_CONNECTION)


def test_source_ranges_of_no_family_let_nobody_in() -> None:
    wanted = build.frontend(build.place(), "10.0.0.1", open_to_all=False)
    assert len(flows(whole.desired([wanted], GROUND), constants.TABLE_CONNECTION)) == 1


def test_affinity_hashes_the_client_alone() -> None:
    for vip, member, name in (
        ("198.18.0.1", "10.0.0.1", "ip_src"),
        ("2001:2::1", "fd00::1", "ipv6_src"),
    ):
        wanted = build.frontend(build.place(vip), member, affinity=True)
        (group,) = whole.desired([wanted], GROUND).groups.values()
        assert f"selection_method=hash,fields={name}," in group


def test_a_bucket_keeps_its_number_while_others_come_and_go() -> None:
    def numbers(*addresses: str) -> set[str]:
        wanted = build.frontend(build.place(), *addresses)
        (group,) = whole.desired([wanted], GROUND).groups.values()
        return {part.split(",")[0] for part in group.split("bucket_id:")[1:]}

    assert numbers("10.0.0.1") < numbers("10.0.0.1", "10.0.0.2")


def test_places_get_different_groups_in_our_range() -> None:
    places = [build.place(f"198.18.{n // 250}.{n % 250}") for n in range(3000)]
    known = pipeline.group_numbers()
    numbers = [known.of(place) for place in places]
    assert len(set(numbers)) == 3000
    assert all(number >> 24 == constants.GROUP_PREFIX >> 24 for number in numbers)
    assert [known.of(place) for place in places] == numbers
    for place in places:
        known.release(place)
    assert {known.of(place) for place in reversed(places)} == set(numbers)


def test_the_switch_answers_for_its_legs() -> None:
    ground = pipeline.Ground(
        100,
        "02:00:00:00:00:64",
        "02:00:00:00:00:01",
        {},
        (build.ip("172.31.241.6"), build.ip("fd00::6")),
    )
    tables = whole.desired([], ground)
    matches = flows(tables, constants.TABLE_FABRIC)
    assert "set_field:172.31.241.6->arp_spa" in matches["arp,arp_tpa=172.31.241.6,arp_op=1"]
    assert "icmp6,icmp_type=135,icmp_code=0,nd_target=fd00::6" in matches
    assert len(flows(tables, constants.TABLE_NEIGHBOUR)) == 1


def test_addresses_are_read_back_from_flows() -> None:
    wanted = [
        build.frontend(build.place(), "10.0.0.1"),
        build.frontend(build.place("2001:2::1"), "fd00::1"),
    ]
    tables = whole.desired(wanted, GROUND)
    assert pipeline.pod_addresses(tables.flows) == {build.ip("10.0.0.1"), build.ip("fd00::1")}
    assert pipeline.vip_addresses(tables.flows) == {build.ip("198.18.0.1"), build.ip("2001:2::1")}


def test_weights_other_than_one_are_written() -> None:
    member = build.members("10.0.0.1")[0]
    heavy = type(member)(member.address, member.port, 3)
    wanted = build.frontend(build.place())
    wanted = type(wanted)(wanted.key, wanted.place, (heavy,))
    (group,) = whole.desired([wanted], GROUND).groups.values()
    assert "weight:3,actions=" in group


def remembering(*addresses: str, timeout_s: int = 60) -> Tables:
    wanted = build.frontend(build.place(), *addresses)
    wanted = dataclasses.replace(wanted, affinity=True, affinity_timeout_s=timeout_s)
    return whole.desired([wanted], GROUND)


def test_a_place_that_remembers_asks_its_memory_before_its_group() -> None:
    tables = remembering("10.0.0.1")
    (number,) = tables.groups
    asked = flows(tables, constants.TABLE_CONNECTION)[
        "ct_state=+new+trk,tcp,nw_dst=198.18.0.1,tp_dst=80"
    ]
    assert asked == f"set_field:{number:#x}->reg1,resubmit(,26),goto_table:27"
    assert flows(tables, constants.TABLE_MEMBERS)[f"reg1={number:#x}"] == f"group:{number}"


def test_what_a_bucket_chooses_is_what_a_member_learns() -> None:
    tables = remembering("10.0.0.1", "10.0.0.2")
    (group,) = tables.groups.values()
    (number,) = tables.groups
    members = flows(tables, constants.TABLE_MEMBERS)
    chosen = re.findall(r"actions=set_field:(0x[0-9a-f]+)->reg0,resubmit\(,27\)", group)
    assert len(set(chosen)) == 2
    for member in chosen:
        learned = members[f"ip,reg0={member},reg1={number:#x}"]
        assert f"load:{member}->NXM_NX_REG0[])" in learned
        assert f"set_field:{number << 64:#x}/{0xFFFFFFFF << 64:#x}->ct_label" in learned


def test_members_have_memories_of_their_own_and_keep_them() -> None:
    def cookies(*addresses: str) -> set[str]:
        members = flows(remembering(*addresses), constants.TABLE_MEMBERS)
        return set(re.findall("cookie=(0x1bc8[0-9a-f]{12}),", "".join(members.values())))

    assert len(cookies("10.0.0.1", "10.0.0.2")) == 2
    assert cookies("10.0.0.1") < cookies("10.0.0.1", "10.0.0.2")


def test_who_does_not_remember_learns_nothing() -> None:
    hashed = dataclasses.replace(build.frontend(build.place(), "10.0.0.1"), affinity=True)
    tables = whole.desired([hashed], GROUND)
    assert flows(tables, constants.TABLE_MEMBERS) == {}
    assert constants.PRIORITY_REMEMBERED not in {key.priority for key in tables.flows}


def limited(rate: int, ground: pipeline.Ground = GROUND, **fields: Any) -> Tables:
    wanted = build.frontend(build.place(), "10.0.0.1", **fields)
    wanted = dataclasses.replace(wanted, limits=Limits(connections_per_s=rate))
    return whole.desired([wanted], ground)


def test_a_limited_place_counts_new_connections_before_its_group() -> None:
    tables = limited(9, source_ranges=("192.0.2.0/24", "192.0.3.0/24"), open_to_all=False)
    ((meter, body),) = tables.meters.items()
    assert body == "pktps,burst,band=type=drop,rate=9,burst_size=9"
    new = [a for a in flows(tables, constants.TABLE_CONNECTION).values() if "group:" in a]
    assert new == [f"meter:{meter},group:{number}" for number in tables.groups] * 2
    known = FlowKey(21, constants.PRIORITY_KNOWN, "ct_state=-inv+trk,ct_mark=0x1bc7")
    assert "meter" not in tables.flows[known]


def test_no_meter_where_there_is_no_limit_or_no_switch_that_has_them() -> None:
    unable = dataclasses.replace(GROUND, meters=False)
    for tables in (limited(0), limited(limits.FASTEST + 1), limited(9, unable)):
        assert tables.meters == {}
        assert not any("meter" in actions for actions in tables.flows.values())
