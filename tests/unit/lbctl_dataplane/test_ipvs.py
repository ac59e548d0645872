"""What IPVS holds for frontends, what is read of it, and the order of changes."""

import dataplane_builders as build
from lbctl.delta import Delta
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.ipvs import balancer
from lbctl_dataplane.rules.ipvs.balancer import Changes, RealServer, Step, VirtualServer

PLACE = build.place()
ONE, TWO = build.ip("10.0.0.1"), build.ip("10.0.0.2")
COOKIE = constants.IPVS_COOKIE
LISTING = """IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
UDP  [2001:0002:0000:0000:0000:0000:0000:0001]:0050 mh persistent 6000 80000000
  -> [fd00:0000:0000:0000:0000:0000:0000:0001]:1F90      Masq    1      0          0         
FWM  00000007 rr 
  -> 0A000009:1F90      Masq    1      0          0         
TCP  C6120001:0050 mh  
  -> 0A000001:1F90      Masq    0      7          0         
  -> 0A000002:1F90      Route   1      0          0         
"""  # noqa: W291


def real(address: str = "10.0.0.1", at: balancer.Place = PLACE) -> RealServer:
    return RealServer(at, build.ip(address), 8080)


def changes(
    servers: Delta[balancer.Place, VirtualServer] | None = None,
    members: Delta[RealServer, int] | None = None,
    known: frozenset[balancer.Place | RealServer] = frozenset(),
) -> Changes:
    none: Delta[balancer.Place, VirtualServer] = Delta({}, frozenset())
    return Changes(servers or none, members or Delta({}, frozenset()), known)


def test_a_listing_tells_the_members_of_places_and_their_weights() -> None:
    six = build.place("2001:2::1", "UDP")
    assert balancer.parse_members(LISTING) == {
        real("fd00::1", six): 1,
        real("10.0.0.1"): 0,
        real("10.0.0.2"): balancer.FOREIGN_FORWARDING,
    }


def test_what_has_no_cookie_is_somebody_elses() -> None:
    other = build.place(port=81)
    servers = {PLACE: VirtualServer(COOKIE), other: VirtualServer(balancer.BY_PORT)}
    members = {real(): 1, real(at=other): 1}
    assert balancer.ours(servers, members, ()) == ({PLACE: servers[PLACE]}, {real(): 1})


def test_what_was_ours_is_ours_after_an_edit() -> None:
    servers, members = {PLACE: VirtualServer(0, 0, "rr")}, {real(): 1}
    assert balancer.ours(servers, members, {PLACE}) == (servers, members)


def test_without_affinity_the_clients_port_counts() -> None:
    server = balancer.virtual_server(build.frontend(PLACE, "10.0.0.1"), ())
    assert server == VirtualServer(COOKIE | balancer.FALL_BACK | balancer.BY_PORT, 0, "mh")
    assert server.ours


def test_affinity_keeps_a_client_for_its_time() -> None:
    sticky = build.frontend(PLACE, "10.0.0.1", affinity=True, affinity_timeout_s=60)
    flags = COOKIE | balancer.FALL_BACK | balancer.PERSISTENT
    assert balancer.virtual_server(sticky, ()) == VirtualServer(flags, 60)


def test_affinity_without_a_time_is_a_function_of_the_address() -> None:
    hashed = build.frontend(PLACE, "10.0.0.1", affinity=True)
    assert balancer.virtual_server(hashed, ()) == VirtualServer(COOKIE | balancer.FALL_BACK, 0)


def test_another_algorithm_is_another_scheduler_where_the_kernel_has_it() -> None:
    asking = build.frontend(PLACE, "10.0.0.1", algorithm="least-connections")
    assert balancer.virtual_server(asking, {"wrr"}) == VirtualServer(COOKIE, 0, "wlc")
    usual = balancer.virtual_server(build.frontend(PLACE, "10.0.0.1"), ())
    assert balancer.virtual_server(asking, {"wlc"}) == usual


def test_a_lingering_member_has_no_weight_and_one_without_a_route_is_left_out() -> None:
    frontend = build.frontend(PLACE, "10.0.0.1", "10.99.0.9", lingering=build.members("10.0.0.2"))
    assert balancer.real_servers(frontend, {ONE, TWO}) == {real("10.0.0.1"): 1, real("10.0.0.2"): 0}


def test_who_gets_connections_comes_before_who_gets_no_more() -> None:
    three, four = real("10.0.0.3"), real("10.0.0.4")
    members = Delta({real("10.0.0.1"): 0, three: 2}, frozenset({four}))
    found = list(balancer.steps(changes(members=members, known=frozenset({real("10.0.0.1")}))))
    assert found == [
        Step("add", PLACE, member=three, weight=2),
        Step("set", PLACE, member=real("10.0.0.1"), weight=0),
        Step("del", PLACE, member=four),
    ]


def test_a_place_that_goes_takes_its_members_with_it() -> None:
    gone = changes(Delta({}, frozenset({PLACE})), Delta({}, frozenset({real()})))
    assert [(step.verb, step.place, step.member) for step in balancer.steps(gone)] == [
        ("del", PLACE, None)
    ]


def test_a_place_is_there_before_its_members() -> None:
    server = VirtualServer(COOKIE)
    new = changes(Delta({PLACE: server}, frozenset()), Delta({real(): 1}, frozenset()))
    assert list(balancer.steps(new)) == [
        Step("add", PLACE, server),
        Step("add", PLACE, member=real(), weight=1),
    ]
