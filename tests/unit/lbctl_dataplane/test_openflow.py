"""The text of ovs-ofctl, both ways."""

import dataplane_whole as whole
from lbctl_dataplane.rules.ovs import openflow
from lbctl_dataplane.rules.ovs.openflow import FlowKey, Tables

DUMP = """\
 cookie=0x1bc7000000000000, priority=2000,in_port=100 actions=goto_table:20
 cookie=0x1bc7000000000000, table=22, priority=100,ip,nw_dst=10.0.0.1 actions=dec_ttl,output:5
 cookie=0x1bc7000000000000, table=23, priority=0 actions=NORMAL
"""


def test_a_dump_of_flows_is_read() -> None:
    assert openflow.parse_flows(DUMP) == {
        FlowKey(0, 2000, "in_port=100"): "goto_table:20",
        FlowKey(22, 100, "ip,nw_dst=10.0.0.1"): "dec_ttl,output:5",
        FlowKey(23, 0, ""): "NORMAL",
    }


def test_a_flow_without_priority_has_the_default_one() -> None:
    dump = " cookie=0x0, ip,nw_dst=10.0.0.1 actions=drop\n"
    assert openflow.parse_flows(dump) == {FlowKey(0, 32768, "ip,nw_dst=10.0.0.1"): "drop"}


def test_groups_of_others_are_not_seen() -> None:
    dump = (
        "OFPST_GROUP_DESC reply (OF1.5) (xid=0x2):\n"
        " group_id=77,type=select,bucket=bucket_id:0,actions=drop\n"
        " group_id=452984833,type=select,bucket=bucket_id:7,actions=drop\n"
    )
    assert openflow.parse_groups(dump) == {452984833: "type=select,bucket=bucket_id:7,actions=drop"}


def test_groups_come_before_the_flows_that_use_them_and_go_after() -> None:
    before = Tables({FlowKey(21, 200, "old"): "group:1"}, {1: "a", 3: "c"})
    after = Tables({FlowKey(21, 200, "new"): "group:2"}, {2: "b", 3: "d"})
    assert openflow.render_bundle(whole.changes(after, before)).splitlines() == [
        "group add group_id=2,b",
        "group modify group_id=3,d",
        "flow add cookie=0x1bc7000000000000,table=21,priority=200,new,actions=group:2",
        "flow delete_strict table=21,priority=200,old",
        "group delete group_id=1",
    ]


def test_no_change_is_an_empty_bundle() -> None:
    tables = Tables({FlowKey(0, 1, "x"): "drop"}, {1: "a"})
    same = whole.changes(tables, tables)
    assert (len(same), openflow.render_bundle(same)) == (0, "")


METERS = """\
OFPST_METER_CONFIG reply (OF1.5) (xid=0x2):
meter=131071 pktps burst bands=
type=drop rate=1000 burst_size=1000

meter=7 kbps bands=
type=drop rate=3

meter=65538 pktps burst stats bands=
type=drop rate=3 burst_size=3
type=drop rate=4 burst_size=4
"""


def test_meters_are_read_in_the_words_that_make_them_and_those_of_others_are_not_seen() -> None:
    assert openflow.parse_meters(METERS) == {
        131071: "pktps,burst,band=type=drop,rate=1000,burst_size=1000",
        65538: "pktps,burst,stats,band=type=drop,rate=3,burst_size=3,"
        "band=type=drop,rate=4,burst_size=4",
    }


def test_a_meter_that_is_there_is_changed_and_another_one_made() -> None:
    before, after = Tables(meters={1: "a", 3: "c"}), Tables(meters={1: "b", 2: "d"})
    wanted = whole.changes(after, before)
    assert list(openflow.render_meters(wanted)) == [
        ("mod-meter", "meter=1,b"),
        ("add-meter", "meter=2,d"),
    ]
    assert (len(wanted), openflow.render_bundle(wanted)) == (3, "")
    assert openflow.example(wanted) == "mod-meter meter=1,b"
    gone = whole.changes(Tables(), before)
    assert openflow.example(gone) == "del-meter meter=1"


def test_a_switch_whose_meters_do_not_reach_to_ours_has_none() -> None:
    said = "OFPST_METER_FEATURES reply (OF1.5) (xid=0x2):\nmax_meter:{} max_bands:8 max_color:0\n"
    assert openflow.has_meters(said.format(262144))
    assert not openflow.has_meters(said.format(0))
    assert not openflow.has_meters("")
