"""Passes of a node's peers reach what one pass from scratch reaches, by valid transactions."""

import ipaddress
import re
from dataclasses import dataclass, replace

import hypothesis
from hypothesis import strategies as st

import dataplane_builders as build
import nft_kernel
from lbctl.model.virtual_service import Policy, VirtualService
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.ovs import pipeline
from lbctl_dataplane.rules.ovs.compiler import Compiler
from lbctl_dataplane.rules.ovs.openflow import FlowKey, Tables
from lbctl_dataplane.rules.ovs.peers import FlowsDrawing
from lbctl_dataplane.rules.peers import layout
from lbctl_dataplane.rules.peers.peering import ElementsDrawing, Ground, Peering
from lbctl_dataplane.rules.router.legs import Knowledge, LegAddress, ServingNode
from lbctl_dataplane.rules.router.sharing import Known
from lbctl_dataplane.rules.tables.elements import Element, Elements, KeptTable

SWITCH = pipeline.Ground(
    100, "02:00:00:00:00:01", "02:1b:c7:00:00:01", legs=(build.ip("172.31.240.11"),)
)
TABLE = layout.table("svc0", "lbctl-vx")
NAMES = ("node-1", "node-2", "node-3")
SERVICES = ("a", "b")
VIPS = ("198.18.0.1", "198.18.0.2", "2001:2::1")
PORTS = (("", "TCP", 8080),)
GROUND = Ground("node-1", (ipaddress.ip_network("172.31.240.0/24"),), 4, 2, 3)


@dataclass(frozen=True)
class Step:
    """What one pass is told."""

    services: tuple[VirtualService, ...]
    members: dict[str, tuple[Endpoint, ...]]
    nodes: dict[str, ServingNode]

    def known(self) -> Known:
        versions = {service.key: 1 for service in self.services}
        behind = {key: self.members.get(key, ()) for key in versions}
        return Known(self.services, behind, versions, lambda key: Knowledge(behind[key], {}, 1))


def node(number: int, *, near: bool, excluded: bool) -> ServingNode:
    four = f"172.31.{240 if near else 241}.1{number}"
    legs = (LegAddress(build.ip(four), f"02:00:00:00:00:0{number}"),)
    six = LegAddress(build.ip(f"fd00::{number}"), f"02:00:00:00:00:0{number}")
    return ServingNode(f"node-{number}", (*legs, six), 5, 5, excluded=excluded)


@st.composite
def services(draw: st.DrawFn) -> tuple[VirtualService, ...]:
    names = draw(st.lists(st.sampled_from(SERVICES), unique=True))
    return tuple(
        build.service(
            name=name,
            vips=draw(st.lists(st.sampled_from(VIPS), min_size=1, unique=True)),
            policy=Policy(
                session_affinity=draw(st.sampled_from(["None", "ClientIP"])),
                external_traffic_policy=draw(st.sampled_from(["Cluster", "Cluster", "Local"])),
            ),
        )
        for name in names
    )


@st.composite
def members(draw: st.DrawFn) -> tuple[Endpoint, ...]:
    states = draw(st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), max_size=4))
    return tuple(
        Endpoint(build.ip(text), name, ready, ready, False, PORTS)
        for at, (name, ready) in enumerate(states)
        for text in (f"10.0.0.{at}", f"fd00:1::{at}")
    )


@st.composite
def steps(draw: st.DrawFn) -> Step:
    present = draw(st.sets(st.sampled_from((1, 2, 3))))
    nodes = {
        f"node-{n}": node(n, near=draw(st.booleans()), excluded=draw(st.booleans()))
        for n in present
    }
    behind = {f"default.{name}": draw(members()) for name in SERVICES}
    return Step(draw(services()), behind, nodes)


def wanted(step: Step, *, everywhere: bool) -> Elements:
    kept = KeptTable(TABLE)
    Peering(kept.elements, ElementsDrawing(), everywhere=everywhere).update(
        step.known(), step.nodes, GROUND
    )
    return kept.elements.desired


@hypothesis.given(st.lists(steps(), min_size=1, max_size=4), st.booleans())
def test_each_pass_reaches_what_is_wanted_and_then_rests(
    told: list[Step], everywhere: bool
) -> None:
    kernel, kept = nft_kernel.Kernel(TABLE), KeptTable(TABLE)
    kept.read_back(kernel.table())
    peering = Peering(kept.elements, ElementsDrawing(), everywhere=everywhere)
    for step in told:
        peering.update(step.known(), step.nodes, GROUND)
        for text in kept.transactions()[0]:
            kernel.apply(text)
        kept.took()
        assert kernel.table() == wanted(step, everywhere=everywhere)
        assert kept.transactions() == ((), 0)


def switched(told: list[Step], *, everywhere: bool) -> tuple[Tables, set[Element]]:
    """Return what a switch holds, and who is spared beside it, after these passes."""
    compiler = Compiler()
    drawing = FlowsDrawing(SWITCH, {4: "172.31.240.1"})
    peering = Peering(compiler, drawing, everywhere=everywhere)
    for step in told:
        peering.update(step.known(), step.nodes, GROUND)
        compiler.took(compiler.changes())
    return compiler.desired, set(compiler.refusals().upserts)


@hypothesis.given(st.lists(steps(), min_size=1, max_size=4), st.booleans())
def test_a_switch_holds_after_passes_what_one_pass_would_give_it(
    told: list[Step], everywhere: bool
) -> None:
    assert switched(told, everywhere=everywhere) == switched(told[-1:], everywhere=everywhere)


@hypothesis.given(steps(), st.booleans())
def test_a_switch_has_a_way_to_whoever_its_groups_choose(step: Step, everywhere: bool) -> None:
    held, _ = switched([step], everywhere=everywhere)
    choices = {key: text for key, text in held.flows.items() if text.startswith("group:")}
    assert {int(text.removeprefix("group:")) for text in choices.values()} == held.groups.keys()
    for key, text in choices.items():
        protocol, rest = key.match.split(",", 1)
        for number in re.findall("set_field:(0x[0-9a-f]+)->reg0", held.groups[int(text[6:])]):
            way = FlowKey(key.table, constants.PRIORITY_NEW, f"{protocol},reg0={number},{rest}")
            assert way in held.flows


@hypothesis.given(steps(), st.booleans())
def test_nobody_is_sent_packets_who_holds_no_member(step: Step, everywhere: bool) -> None:
    found = wanted(step, everywhere=everywhere)
    holders = {entry.key for entry in found if entry.home.startswith("holders")}
    for entry, ends in found.items():
        if entry.home.startswith("ends"):
            assert {f"{entry.key} . {mark}" for mark in ends} <= holders


@hypothesis.given(steps())
def test_nodes_that_know_the_same_choose_the_same(step: Step) -> None:
    hypothesis.assume({"node-1", "node-2"} <= step.nodes.keys())
    other = replace(GROUND, name="node-2")
    kept = KeptTable(TABLE)
    Peering(kept.elements, ElementsDrawing(), everywhere=True).update(
        step.known(), step.nodes, other
    )
    one, two = wanted(step, everywhere=True), kept.elements.desired
    assert {entry for entry in one if entry.home.startswith("ends")} == {
        entry for entry in two if entry.home.startswith("ends")
    }
    for entry in one:
        if entry.home.startswith("ends"):
            pairs = set(zip(one[entry], two[entry], strict=True))
            assert len({first for first, _ in pairs}) == len({second for _, second in pairs})
            assert len(pairs) == len({first for first, _ in pairs})
