"""Which UDP flows stay on a leg of the router, and which have to begin anew."""

import pytest

import dataplane_builders as build
from lbctl.model.virtual_service import Listener
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.router import flows
from lbctl_dataplane.rules.router.flows import AllBut, Ended, Flows

AT = build.place(protocol="UDP")
AT6 = build.place("2001:2::1", "UDP")
VIPS = frozenset({AT.vip, AT6.vip})
NUMBERS = {"node-1": 1, "node-2": 2}


def claim(protocol: str = "UDP") -> frontend.Claim:
    listener = Listener("", protocol, 80, "pool")
    return frontend.wishes(build.service(vips=["198.18.0.1"], listeners=(listener,)))[0]


def member(
    node: str = "node-1",
    address: str = "10.0.0.1",
    protocol: str = "UDP",
    *,
    ready: bool = False,
    serving: bool = False,
    terminating: bool = False,
) -> Endpoint:
    return Endpoint(build.ip(address), node, ready, serving, terminating, (("", protocol, 8080),))


@pytest.mark.parametrize(
    ("end", "stays"),
    [
        (member(ready=True, serving=True), True),
        (member(serving=True, terminating=True), True),
        (member(ready=True, terminating=True), True),  # publishNotReadyAddresses
        (member(terminating=True), False),
        (member(), False),
        (member(ready=True, address="fd00::1"), False),
        (member(ready=True, protocol="TCP"), False),
        (member("node-9", ready=True), False),
    ],
)
def test_flows_stay_where_a_member_is_ready_or_serves(end: Endpoint, stays: bool) -> None:
    expected = {Flows(AT, 1): None} if stays else {}
    assert flows.kept(claim(), (end, member("node-2")), NUMBERS) == expected


def test_each_leg_is_judged_by_its_own_members() -> None:
    ends = (
        member(terminating=True),
        member("node-2", "10.0.0.2", serving=True, terminating=True),
        member("node-2", "10.0.0.3"),
    )
    assert flows.kept(claim(), ends, NUMBERS) == {Flows(AT, 2): None}


def test_tcp_is_never_looked_at() -> None:
    assert flows.kept(claim("TCP"), (member(ready=True, protocol="TCP"),), NUMBERS) == {}


def test_what_ended_is_forgotten_where_it_is_seen() -> None:
    seen = frozenset({Flows(AT, 1), Flows(AT, 2)})
    assert flows.among(seen, Ended(frozenset({Flows(AT, 1), Flows(AT6, 1)}))) == {Flows(AT, 1)}
    assert flows.among(seen, flows.NONE) == frozenset()


def test_where_nothing_is_known_all_but_what_has_members_is_forgotten() -> None:
    seen = frozenset({Flows(AT, 1), Flows(AT, 2)})
    assert flows.among(seen, AllBut(frozenset({Flows(AT, 2), Flows(AT6, 2)}))) == {Flows(AT, 1)}


LISTING = """\
udp      17 26 src=203.0.113.10 dst=198.18.0.1 sport=4000 dport=80 src=198.18.0.1 \
dst=203.0.113.10 sport=80 dport=4000 [ASSURED] mark=452984833 use=1
udp      17 29 src=198.18.0.1 dst=203.0.113.10 sport=80 dport=4001 [UNREPLIED] src=203.0.113.10 \
dst=198.18.0.1 sport=4001 dport=80 mark=452984834 use=1
udp      17 29 src=2001:db8:c::10 dst=2001:2::1 sport=4002 dport=80 [UNREPLIED] src=2001:2::1 \
dst=2001:db8:c::10 sport=80 dport=4002 mark=452984835 use=1
udp      17 3 src=203.0.113.10 dst=192.0.2.9 sport=4000 dport=80 src=192.0.2.9 \
dst=203.0.113.10 sport=80 dport=4000 mark=452984833 use=1
udp      17 3 src=203.0.113.10 dst=198.18.0.1 sport=4003 dport=80 src=198.18.0.1 \
dst=203.0.113.10 sport=80 dport=4003 mark=452985833 use=1
udp      17 3 src=203.0.113.10 dst=198.18.0.1 sport=4004 dport=80 src=198.18.0.1 \
dst=203.0.113.10 sport=80 dport=4004 mark=7 use=1
udp      17 3 src=203.0.113.10 dst=198.18.0.1 sport=4005 dport=80 src=198.18.0.1 \
dst=203.0.113.10 sport=80 dport=4005 use=1
"""
"""As conntrack 1.4.7 prints it: by legs 1, 2 and 3, then what is not ours."""


def test_flows_are_read_whoever_sent_the_first_packet() -> None:
    found = flows.parse(LISTING, VIPS)
    assert found == {Flows(AT, 1), Flows(AT, 2), Flows(AT6, 3)}
