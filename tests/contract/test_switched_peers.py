"""Nodes with a switch that pass packets on to each other and to nodes without: real packets."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from lbctl_dataplane.rules import constants
from ovs_peers_bed import SwitchedAgents, SwitchedBed
from peers_bed import CLIENT, V4, V6, Pod, acting, service, standing
from peers_talk import alive, asked, connections, greeting

pytestmark = pytest.mark.root

PODS = (Pod(1, 1), Pod(2, 2), Pod(3, 2), Pod(4, 3))
"""Nodes 1 and 2 have a switch."""
both = pytest.mark.parametrize("vip", [V4, V6])


@pytest.fixture(scope="module")
def near() -> Iterator[SwitchedBed]:
    with standing(SwitchedBed("switched", nodes=3, switched=(1, 2)), *PODS) as made:
        yield made


def agents(bed: SwitchedBed, *, everywhere: bool = False) -> AbstractContextManager[SwitchedAgents]:
    return acting(SwitchedAgents(bed, everywhere=everywhere), bed)


@both
def test_a_node_without_members_passes_on_and_the_client_address_is_kept(
    near: SwitchedBed, vip: str
) -> None:
    with agents(near) as nodes:
        nodes.program(service(), Pod(2, 2), Pod(4, 3))
        near.spread_over(1)
        found = set()
        with connections(near, vip, 12) as made:
            for connection in made:
                name, client = greeting(connection)
                found.add(name)
                assert client == CLIENT[6 if ":" in vip else 4]
        assert found == {"pod2", "pod4"}


@both
def test_a_node_with_routes_passes_on_to_one_with_a_switch(near: SwitchedBed, vip: str) -> None:
    with agents(near) as nodes:
        nodes.program(service(), Pod(2, 2))
        near.spread_over(3)
        with near.connect(vip) as connection, near.udp(vip) as datagrams:
            assert greeting(connection) == ("pod2", CLIENT[6 if ":" in vip else 4])
            assert asked(datagrams) == "pod2"


@both
def test_answers_go_straight_to_the_gateway(near: SwitchedBed, vip: str) -> None:
    with agents(near) as nodes:
        nodes.program(service(), Pod(2, 2))
        near.spread_over(1)
        with near.udp(vip) as datagrams:
            assert asked(datagrams) == "pod2"
            near.count_anew(1)
            near.count_sent_anew(1)
            assert asked(datagrams) == "pod2"
        assert (near.counted(1), near.sent(1)) == (1, 1)


@both
def test_who_asks_for_a_leg_gets_answers_where_no_leg_names_a_gateway(
    near: SwitchedBed, vip: str
) -> None:
    near.named_gateways = False
    try:
        with agents(near) as nodes:
            before = nodes.program(service(), Pod(2, 2))[2].complaint
            assert f"IPv{6 if ':' in vip else 4}" in before.partition(" has answered")[0]
            assert nodes.taking_part(2) is None
            near.spread_over(2)
            near.forget_neighbours()
            with near.connect(vip) as connection:
                assert greeting(connection)[0] == "pod2"
            near.spread_over(1)
            with near.connect(vip) as connection:
                assert greeting(connection)[0] == "pod2"
    finally:
        near.named_gateways = True


@both
def test_flows_keep_their_member_while_the_fabric_moves_them(near: SwitchedBed, vip: str) -> None:
    with agents(near, everywhere=True) as nodes:
        nodes.program(service(), Pod(1, 1), Pod(2, 2), Pod(3, 2))
        near.spread_over(1)
        with connections(near, vip, 16) as made, near.udp(vip) as datagrams:
            assert {greeting(one)[0] for one in made} == {"pod1", "pod2", "pod3"}
            before = asked(datagrams)
            for moved in ((2,), (1,), (1, 2)):
                near.spread_over(*moved)
                assert all(map(alive, made))
                assert asked(datagrams) == before


@both
def test_a_flow_stays_with_its_peer_while_others_come_and_go(near: SwitchedBed, vip: str) -> None:
    with agents(near) as nodes:
        nodes.program(service(), Pod(2, 2))
        near.spread_over(1)
        with connections(near, vip, 12) as made, near.udp(vip) as datagrams:
            assert {greeting(one)[0] for one in made} == {"pod2"}
            assert asked(datagrams) == "pod2"
            nodes.program(service(), Pod(2, 2), Pod(4, 3))
            assert all(map(alive, made))
            assert asked(datagrams) == "pod2"
            with connections(near, vip, 12) as later:
                assert {greeting(one)[0] for one in later} == {"pod2", "pod4"}
                nodes.program(service(), Pod(2, 2))
                assert all(map(alive, made))


@both
def test_datagrams_from_one_port_leave_a_node_that_lost_its_members(
    near: SwitchedBed, vip: str
) -> None:
    with agents(near) as nodes:
        nodes.program(service(), Pod(2, 2))
        near.spread_over(1)
        with near.udp(vip) as datagrams:
            assert asked(datagrams) == "pod2"
            nodes.program(service(), Pod(4, 3))
            assert asked(datagrams) == "pod4"


@both
def test_a_peer_whose_members_linger_keeps_its_flows_and_gets_no_new_ones(
    near: SwitchedBed, vip: str
) -> None:
    with agents(near) as nodes:
        nodes.program(service(), Pod(2, 2), Pod(3, 2))
        near.spread_over(1)
        with connections(near, vip, 6) as made:
            named = {greeting(one)[0] for one in made}
            assert named <= {"pod2", "pod3"}
            leaving = (Pod(2, 2, ready=False), Pod(3, 2, ready=False))
            nodes.program(service(), *leaving, Pod(4, 3))
            assert all(map(alive, made))
            with connections(near, vip, 6) as later:
                assert {greeting(one)[0] for one in later} == {"pod4"}


@both
def test_what_a_peer_passed_on_goes_no_further(near: SwitchedBed, vip: str) -> None:
    with agents(near) as nodes:
        # Each of two nodes believes that the other one has the member.
        nodes.program_one(1, service(), Pod(2, 2))
        nodes.program_one(2, service(), Pod(1, 1))
        near.spread_over(1)
        with near.udp(vip, timeout_s=0.5) as datagrams:
            near.count_anew(1)
            near.count_anew(2)
            with pytest.raises(OSError):
                asked(datagrams)
        assert (near.counted(1), near.counted(2)) == (1, 1)


@both
def test_policy_local_never_passes_on(near: SwitchedBed, vip: str) -> None:
    with agents(near, everywhere=True) as nodes:
        nodes.program(service(external_traffic_policy="Local"), Pod(2, 2))
        near.spread_over(1)
        near.count_anew(2)
        with pytest.raises(ConnectionRefusedError):
            near.connect(vip)
        assert near.counted(2) == 0


@both
def test_a_client_is_refused_where_no_peer_has_a_member(near: SwitchedBed, vip: str) -> None:
    with agents(near) as nodes:
        nodes.program(service(), Pod(2, 2))
        near.spread_over(1)
        near.connect(vip).close()
        nodes.program(service())
        with pytest.raises(ConnectionRefusedError):
            near.connect(vip)


@both
def test_affinity_holds_whichever_switch_a_client_comes_by(near: SwitchedBed, vip: str) -> None:
    with agents(near, everywhere=True) as nodes:
        nodes.program(service(session_affinity="ClientIP"), Pod(1, 1), Pod(2, 2), Pod(3, 2))
        found = set()
        for number in (1, 2):
            near.spread_over(number)
            with connections(near, vip, 4) as made:
                found |= {greeting(one)[0] for one in made}
        assert len(found) == 1


@both
def test_restarted_agents_change_nothing_and_forget_nothing(near: SwitchedBed, vip: str) -> None:
    with agents(near, everywhere=True) as nodes:
        nodes.program(service(), *PODS)
        near.spread_over(1)
        with connections(near, vip, 8) as made:
            for one in made:
                greeting(one)
            known = near.learned(1, constants.TABLE_PEER_FLOWS)
            nodes.restart()
            done = nodes.program(service(), *PODS)
            assert {one.changed for one in done.values()} == {0}
            assert near.learned(1, constants.TABLE_PEER_FLOWS) == known > 0
            assert all(map(alive, made))


@pytest.mark.parametrize("table", [constants.TABLE_PEERS, constants.TABLE_ARRIVED])
def test_damage_is_repaired(near: SwitchedBed, table: int) -> None:
    with agents(near) as nodes:
        nodes.program(service(), Pod(2, 2))
        near.spread_over(1)
        for switch in near.switches.values():
            switch.ofctl("del-flows", "br-int", f"table={table}")
        nodes.restart()
        done = nodes.program(service(), Pod(2, 2))
        assert done[1].changed > 0
        assert {one.changed for one in nodes.program(service(), Pod(2, 2)).values()} == {0}
        with near.connect(V4) as connection:
            assert greeting(connection)[0] == "pod2"


def test_a_switch_that_restarted_learns_its_gateways_anew(near: SwitchedBed) -> None:
    with agents(near) as nodes:
        nodes.program(service(), Pod(2, 2))
        near.switches[2].restart_vswitchd()
        assert near.learned(2, constants.TABLE_GATEWAYS) == 0
        nodes.program(service(), Pod(2, 2))
        near.spread_over(1)
        with near.connect(V4) as connection:
            assert greeting(connection)[0] == "pod2"


def test_what_is_learned_goes_with_its_place(near: SwitchedBed) -> None:
    with agents(near) as nodes:
        nodes.program(service(), Pod(2, 2))
        near.spread_over(1)
        with near.connect(V4) as connection:
            assert greeting(connection)[0] == "pod2"
            assert near.learned(1, constants.TABLE_PEER_FLOWS) > 0
            nodes.program(service())
            assert near.learned(1, constants.TABLE_PEER_FLOWS) == 0
