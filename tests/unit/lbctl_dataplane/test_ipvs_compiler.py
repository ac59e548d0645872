"""What a node's IPVS should hold, pass by pass."""

import json

import dataplane_builders as build
from lbctl_dataplane.rules import pod_routes
from lbctl_dataplane.rules.frontend import Place
from lbctl_dataplane.rules.ipvs.compiler import IpvsCompiler, Tables
from lbctl_dataplane.rules.pod_routes import PodRoutes

ROUTES = pod_routes.parse({4: json.dumps([{"dst": "10.0.0.0/24", "dev": "cni0"}]), 6: ""}, ())
NOBODY: frozenset[Place] = frozenset()
WEB, ADMIN = build.place(port=80), build.place(port=81)


def test_a_vip_is_an_address_of_the_node_until_its_last_place_goes() -> None:
    compiler = IpvsCompiler()
    web, admin = build.frontend(WEB, "10.0.0.1"), build.frontend(ADMIN, "10.0.0.1")
    compiler.update([web, admin], ROUTES, NOBODY)
    compiler.update([admin], ROUTES, NOBODY)
    assert set(compiler.desired.vips) == {build.ip("198.18.0.1")}
    compiler.update([], ROUTES, NOBODY)
    assert compiler.desired == Tables()


def test_what_was_taken_is_no_change_any_more() -> None:
    compiler = IpvsCompiler()
    wanted = [build.frontend(WEB, "10.0.0.1", "10.0.0.2")]
    compiler.update(wanted, ROUTES, NOBODY)
    change = compiler.changes()
    assert len(change) == 6  # a place, two members, the VIP, two elements of sets
    compiler.took(change)
    compiler.update(wanted, ROUTES, NOBODY)
    assert len(compiler.changes()) == 0


def test_a_member_without_a_route_is_missing_until_there_is_one() -> None:
    compiler = IpvsCompiler()
    wanted = [build.frontend(WEB, "10.0.0.1", "10.0.9.1")]
    compiler.update(wanted, ROUTES, NOBODY)
    assert compiler.missing == {"default.kuard": (build.ip("10.0.9.1"),)}
    wider = json.dumps([{"dst": "10.0.0.0/16", "dev": "cni0"}])
    compiler.update(wanted, pod_routes.parse({4: wider, 6: ""}, ()), NOBODY)
    assert compiler.missing == {}
    assert len(compiler.desired.members) == 2


def test_a_member_whose_route_went_is_missing() -> None:
    compiler = IpvsCompiler()
    wanted = [build.frontend(WEB, "10.0.0.1")]
    compiler.update(wanted, ROUTES, NOBODY)
    compiler.update(wanted, PodRoutes(), NOBODY)
    assert compiler.missing == {"default.kuard": (build.ip("10.0.0.1"),)}
    assert not compiler.desired.members


def test_a_place_that_somebody_else_serves_is_left_to_him_as_long_as_he_does() -> None:
    compiler = IpvsCompiler()
    wanted = [build.frontend(WEB, "10.0.0.1"), build.frontend(ADMIN, "10.0.0.1")]
    compiler.update(wanted, ROUTES, frozenset({WEB}))
    assert set(compiler.desired.servers) == {ADMIN}
    assert compiler.missing == {"default.kuard": (build.ip("10.0.0.1"),)}
    compiler.update(wanted, ROUTES, NOBODY)
    assert set(compiler.desired.servers) == {ADMIN, WEB}
    assert compiler.missing == {}


def test_what_drifted_is_changed_back() -> None:
    compiler = IpvsCompiler()
    compiler.update([build.frontend(WEB, "10.0.0.1")], ROUTES, NOBODY)
    compiler.took(compiler.changes())
    wanted = compiler.desired
    (member,) = wanted.members
    compiler.read_back(Tables(wanted.servers, {member: 7}, {}, wanted.elements))
    change = compiler.changes()
    assert change.servers.members.upserts == {member: 1}
    assert member in change.servers.known
    assert set(change.vips.upserts) == {build.ip("198.18.0.1")}
    assert len(change) == 2


def test_what_the_kernel_lacks_is_done_without_by_those_who_ask_for_it_until_it_comes() -> None:
    compiler = IpvsCompiler()
    asking = build.frontend(WEB, "10.0.0.1", algorithm="least-connections")
    compiler.update([asking, build.frontend(ADMIN, "10.0.0.1")], ROUTES, NOBODY)
    before = dict(compiler.desired.servers)
    compiler.go_without(frozenset({"wlc"}))
    assert compiler.desired.servers == {**before, WEB: before[ADMIN]}
    assert compiler.missing == {}
    compiler.go_without(frozenset())
    assert compiler.desired.servers == before
