"""Connections of places to members, out of conntrack's listing."""

import dataplane_builders as build
from lbctl_dataplane.rules.frontend import Member
from lbctl_dataplane.rules.nft import tracked
from lbctl_dataplane.rules.nft.tracked import Tracked

LISTING = """\
tcp      6 431999 ESTABLISHED src=203.0.113.10 dst=198.18.0.1 sport=40000 dport=80 \
src=10.0.0.1 dst=203.0.113.10 sport=8080 dport=40000 [ASSURED] mark=13041664 use=1
udp      17 29 src=2001:db8::9 dst=2001:2::1 sport=5 dport=53 [UNREPLIED] \
src=fd00::1 dst=2001:db8::9 sport=5353 dport=5 mark=13041664 use=1
icmp     1 29 src=203.0.113.10 dst=198.18.0.1 type=8 code=0 id=7 src=198.18.0.1 dst=203.0.113.10 \
type=0 code=0 id=7 mark=13041664 use=1
"""


def test_the_one_who_answers_is_the_member() -> None:
    assert tracked.parse(LISTING) == {
        Tracked(build.place(), Member(build.ip("10.0.0.1"), 8080)),
        Tracked(build.place("2001:2::1", "UDP", 53), Member(build.ip("fd00::1"), 5353)),
    }


def test_lingering_members_may_have_connections_and_weights_do_not_matter() -> None:
    heavy = Member(build.ip("10.0.0.1"), 8080, 7)
    lingering = build.members("10.0.0.2")
    wanted = build.frontend(build.place(), "10.0.0.3", lingering=(heavy, *lingering))
    allowed = {entry.member.address for entry in tracked.of([wanted])}
    assert allowed == {build.ip(f"10.0.0.{number}") for number in (1, 2, 3)}
    assert tracked.parse(LISTING) & tracked.of([wanted])
