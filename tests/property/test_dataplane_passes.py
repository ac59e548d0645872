"""Passes that follow each other reach what one pass from scratch reaches, and touch no more."""

import dataclasses
from collections.abc import Hashable, Mapping, Sequence

import hypothesis
from hypothesis import strategies as st

import dataplane_builders as build
import dataplane_whole as whole
from lbctl import delta
from lbctl.model.policy import Limits
from lbctl.model.virtual_service import Listener, Phase, Policy, VipRole, VirtualService
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules import frontend, health_ports, local
from lbctl_dataplane.rules.claimants import Claimants
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.kept import Kept
from lbctl_dataplane.rules.ovs import compiler, openflow, pipeline, refusals
from lbctl_dataplane.rules.ovs.openflow import FlowKey, Tables
from lbctl_dataplane.rules.ovs.pipeline import Ground, PodPort
from lbctl_dataplane.rules.tables.elements import Element, Ends

NAMES = ("a", "b", "c")
PODS = tuple(build.ip(text) for text in ("10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"))

# --- any entries ----------------------------------------------------------------------------------

parts = st.dictionaries(
    st.sampled_from("abcd"),
    # What parts share they agree about: the value follows from the key.
    st.frozensets(st.integers(0, 5)).map(lambda keys: {key: f"v{key}" for key in keys}),
)


def union(chosen: Mapping[str, Mapping[int, str]]) -> dict[int, str]:
    return {key: value for part in chosen.values() for key, value in part.items()}


def applied(observed: Mapping[int, str], change: delta.Delta[int, str]) -> dict[int, str]:
    left = {key: value for key, value in observed.items() if key not in change.deletes}
    return {**left, **change.upserts}


@hypothesis.given(st.lists(parts, max_size=5), st.dictionaries(st.integers(0, 5), st.text("vx1")))
def test_entries_follow_their_parts_from_whatever_was_there(
    states: list[dict[str, dict[int, str]]], there: dict[int, str]
) -> None:
    kept: Kept[int, str] = Kept()
    kept.read_back(there)
    before: dict[str, dict[int, str]] = {}
    for state in states:
        for name in before.keys() - state.keys():
            kept.remove(before[name])
        for name, part in state.items():
            if before.get(name) != part:
                kept.add(part)
                kept.remove(before.get(name, {}))
        change = kept.changes()
        assert change == delta.diff(union(state), there)
        there = applied(there, change)
        kept.took(change)
        assert (kept.desired, kept.verified) == (union(state), there)
        before = state


POLICIES = (
    Policy(),
    Policy(limits=Limits(connections_per_s=5)),
    Policy(session_affinity="ClientIP", session_affinity_timeout_s=60),
)

# --- virtual services and frontends ---------------------------------------------------------------


def at_most_once(made: Sequence[VirtualService]) -> list[VirtualService]:
    return list({service.key: service for service in made}.values())


def claiming(
    name: str, vips: list[str], role: VipRole, phase: Phase, ports: list[int], policy: Policy
) -> VirtualService:
    listeners = tuple(Listener("", "TCP", port, "pool") for port in ports)
    made = build.service(name, vips, phase, listeners=listeners, policy=policy)
    return dataclasses.replace(
        made, vips=tuple(dataclasses.replace(vip, role=role) for vip in made.vips)
    )


services = st.lists(
    st.builds(
        claiming,
        st.sampled_from(NAMES),
        # Fewer addresses than services: they meet all the time.
        st.lists(st.sampled_from(["198.18.0.1", "2001:2::1"]), unique=True, max_size=2),
        st.sampled_from([VipRole.CURRENT, VipRole.OUTGOING]),
        st.sampled_from([Phase.SERVING, Phase.SERVING, Phase.WITHDRAWN]),
        st.lists(st.sampled_from([80, 81]), unique=True, max_size=2),
        st.sampled_from(POLICIES),
    ),
    max_size=4,
).map(at_most_once)
endpoints = st.lists(
    st.builds(
        lambda address, node, ready: Endpoint(
            address, node, ready, ready, False, (("", "TCP", 8080),)
        ),
        st.sampled_from(PODS),
        st.sampled_from(["node-1", "node-2"]),
        st.booleans(),
    ),
    max_size=3,
).map(tuple)
views = st.lists(st.tuples(services, st.dictionaries(st.sampled_from(NAMES), endpoints)))
View = tuple[list[VirtualService], dict[str, tuple[Endpoint, ...]]]


def steady(made: list[View]) -> list[View]:
    """Let what is equal from one view to the next be the same object, as it is in the agent."""
    kept: dict[Hashable, object] = {}
    found: list[View] = []
    for chosen, behind in made:
        ends = {f"default.{name}": kept.setdefault(each, each) for name, each in behind.items()}
        found.append(([kept.setdefault(each, each) for each in chosen], ends))  # type: ignore[misc, arg-type]
    return found


@hypothesis.given(views.map(steady))
def test_views_that_follow_each_other_give_what_each_gives_alone(made: list[View]) -> None:
    claimants, frontends = Claimants(), local.LocalFrontends("node-1")
    for chosen, behind in made:
        claimants.update(chosen)
        won = {claim for service in chosen for claim in claimants.of(service.key)}
        assert won == set(frontend.claims(chosen))
        alone = whole.frontends(chosen, behind, "node-1")
        assert sorted(frontends.of(chosen, behind), key=_order) == list(alone)


def _order(entry: Frontend) -> tuple[int, int, str, int]:
    return frontend.place_order(entry.place)


@hypothesis.given(views.map(steady))
def test_what_does_not_change_stays_the_same_object(made: list[View]) -> None:
    frontends = local.LocalFrontends("node-1")
    before: dict[Frontend, Frontend] = {}
    for chosen, behind in made:
        now = {entry: entry for entry in frontends.of(chosen, behind)}
        again = frontends.of(list(chosen), dict(behind))
        assert [id(entry) for entry in again] == [id(entry) for entry in now.values()]
        alike = {entry.key for entry in now} - {entry.key for entry in (before.keys() ^ now.keys())}
        assert all(before[entry] is entry for entry in now if entry.key in alike)
        before = now


@hypothesis.given(views.map(steady), st.frozensets(st.sampled_from(NAMES)))
def test_health_check_ports_that_follow_views_are_those_of_each_alone(
    made: list[View], asking: frozenset[str]
) -> None:
    followed = health_ports.Wanted("node-1")
    ported: dict[int, VirtualService] = {}
    for chosen, behind in made:
        asked = [ported.setdefault(id(one), _ported(one, asking)) for one in chosen]
        alone = health_ports.Wanted("node-1").of(asked, behind)
        assert followed.of(asked, behind) == alone
        assert followed.of(asked, dict(behind)) == alone


def _ported(service: VirtualService, asking: frozenset[str]) -> VirtualService:
    name = service.service.name
    port = 30_000 + NAMES.index(name) if name in asking else 0
    policy = dataclasses.replace(service.policy, health_check_node_port=port)
    return dataclasses.replace(service, policy=policy)


# --- a switch -------------------------------------------------------------------------------------

grounds = st.builds(
    lambda pods, mac, meters: Ground(
        100,
        mac,
        "02:00:00:00:00:01",
        {pod: PodPort(port, "02:00:00:00:01:01", f"pod{port}") for pod, port in pods.items()},
        (build.ip("172.31.241.6"),),
        meters=meters,
    ),
    st.dictionaries(st.sampled_from(PODS), st.integers(1, 3)),
    st.sampled_from(["02:00:00:00:00:64", "02:00:00:00:00:65"]),
    st.booleans(),
)
passes = st.lists(st.tuples(services, st.dictionaries(st.sampled_from(NAMES), endpoints), grounds))


def moved(tables: Tables, change: openflow.Changes) -> Tables:
    return Tables(
        _applied(tables.flows, change.flows),
        _applied(tables.groups, change.groups),
        _applied(tables.meters, change.meters),
    )


def _applied(there, change):  # type: ignore[no-untyped-def]
    left = {key: value for key, value in there.items() if key not in change.deletes}
    return {**left, **change.upserts}


@hypothesis.given(
    passes, st.sampled_from([Tables(), Tables({FlowKey(20, 1, "x"): "drop"}, {7: "g"}, {8: "m"})])
)
def test_a_switch_follows_pass_by_pass(made: list[tuple[object, ...]], there: Tables) -> None:
    frontends, compiled = local.LocalFrontends("node-1"), compiler.Compiler()
    compiled.read_back(there)
    refused: dict[Element, Ends] = {}
    pairs = steady([(chosen, behind) for chosen, behind, _ in made])  # type: ignore[misc]
    for (chosen, behind), (*_, ground) in zip(pairs, made, strict=True):
        wanted = frontends.of(chosen, behind)
        compiled.update(wanted, ground)  # type: ignore[arg-type]
        desired = whole.desired(wanted, ground)  # type: ignore[arg-type]
        assert compiled.desired == desired
        change = compiled.changes()
        assert change == whole.changes(desired, there) or _touched_alone(change, desired, there)
        there = moved(there, change)
        compiled.took(change)
        missing = {(e.key, a) for e in wanted for a in pipeline.missing_pods(e, ground)}  # type: ignore[arg-type]
        assert {(k, a) for k, found in compiled.missing.items() for a in found} == missing
        assert there == desired
        assert len(compiled.changes()) == 0
        beside = compiled.refusals()
        for step in (refusals.loosening(beside), refusals.tightening(beside)):
            refused = _applied(refused, step)
        compiled.refused(beside)
        assert refused == whole.refused(wanted, ground)  # type: ignore[arg-type]
        assert not compiled.refusals()


def _touched_alone(change: openflow.Changes, desired: Tables, there: Tables) -> bool:
    """Compare all but which groups and meters are said to be known: those that change alone."""
    full = whole.changes(desired, there)
    groups = full.known_groups & change.groups.upserts.keys()
    meters = full.known_meters & change.meters.upserts.keys()
    return change == dataclasses.replace(full, known_groups=groups, known_meters=meters)
