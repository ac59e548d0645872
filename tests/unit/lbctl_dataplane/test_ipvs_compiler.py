"""What a node's IPVS should hold, pass by pass."""

import json

import dataplane_builders as build
from lbctl_dataplane.rules import pod_routes
from lbctl_dataplane.rules.ipvs_compiler import Ground, IpvsCompiler, Tables

ROUTES = pod_routes.parse({4: json.dumps([{"dst": "10.0.0.0/24", "dev": "cni0"}]), 6: ""}, ())
GROUND = Ground(ROUTES)
WEB, ADMIN = build.place(port=80), build.place(port=81)


def test_a_vip_is_an_address_of_the_node_until_its_last_place_goes() -> None:
    compiler = IpvsCompiler()
    web, admin = build.frontend(WEB, "10.0.0.1"), build.frontend(ADMIN, "10.0.0.1")
    compiler.update([web, admin], GROUND)
    compiler.update([admin], GROUND)
    assert set(compiler.desired.vips) == {build.ip("198.18.0.1")}
    compiler.update([], GROUND)
    assert compiler.desired == Tables()


def test_what_was_taken_is_no_change_any_more() -> None:
    compiler = IpvsCompiler()
    wanted = [build.frontend(WEB, "10.0.0.1", "10.0.0.2")]
    compiler.update(wanted, GROUND)
    change = compiler.changes()
    assert len(change) == 6  # a place, two members, the VIP, two elements of sets
    compiler.took(change)
    compiler.update(wanted, GROUND)
    assert len(compiler.changes()) == 0


def test_a_member_without_a_route_is_missing_until_there_is_one() -> None:
    compiler = IpvsCompiler()
    wanted = [build.frontend(WEB, "10.0.0.1", "10.0.9.1")]
    compiler.update(wanted, GROUND)
    assert compiler.missing == {"default.kuard": (build.ip("10.0.9.1"),)}
    wider = json.dumps([{"dst": "10.0.0.0/16", "dev": "cni0"}])
    compiler.update(wanted, Ground(pod_routes.parse({4: wider, 6: ""}, ())))
    assert compiler.missing == {}
    assert len(compiler.desired.members) == 2


def test_a_member_whose_route_went_is_missing() -> None:
    compiler = IpvsCompiler()
    wanted = [build.frontend(WEB, "10.0.0.1")]
    compiler.update(wanted, GROUND)
    compiler.update(wanted, Ground())
    assert compiler.missing == {"default.kuard": (build.ip("10.0.0.1"),)}
    assert not compiler.desired.members


def test_a_place_that_somebody_else_serves_is_left_to_him_as_long_as_he_does() -> None:
    compiler = IpvsCompiler()
    wanted = [build.frontend(WEB, "10.0.0.1"), build.frontend(ADMIN, "10.0.0.1")]
    compiler.update(wanted, Ground(ROUTES, frozenset({WEB})))
    assert set(compiler.desired.servers) == {ADMIN}
    assert compiler.missing == {"default.kuard": (build.ip("10.0.0.1"),)}
    compiler.update(wanted, GROUND)
    assert set(compiler.desired.servers) == {ADMIN, WEB}
    assert compiler.missing == {}


def test_what_drifted_is_changed_back() -> None:
    compiler = IpvsCompiler()
    compiler.update([build.frontend(WEB, "10.0.0.1")], GROUND)
    compiler.took(compiler.changes())
    wanted = compiler.desired
    (member,) = wanted.members
    compiler.read_back(Tables(wanted.servers, {member: 7}, {}, wanted.elements))
    change = compiler.changes()
    assert change.servers.members.upserts == {member: 1}
    assert member in change.servers.known
    assert set(change.vips.upserts) == {build.ip("198.18.0.1")}
    assert len(change) == 2
