"""Whatever a switch, a kernel or a router holds: one change reaches what is wanted, then rests."""

import re

import hypothesis
from hypothesis import strategies as st

import dataplane_builders as build
import dataplane_whole as whole
from lbctl import delta
from lbctl.model.policy import Limits
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.frontend import Frontend, Member, Place
from lbctl_dataplane.rules.ovs import guard, openflow, pipeline
from lbctl_dataplane.rules.ovs.openflow import FlowKey, Tables
from lbctl_dataplane.rules.router import legs, routes, spread
from lbctl_dataplane.rules.router.legs import Knowledge, LegAddress, ServingNode
from lbctl_dataplane.rules.router.spread import Ruleset, Spread

PODS = tuple(build.ip(f"10.0.0.{n}") for n in range(1, 7))
GROUND = pipeline.Ground(
    100,
    "02:00:00:00:00:64",
    "02:00:00:00:00:01",
    {
        pod: pipeline.PodPort(n, f"02:00:00:00:01:0{n}", f"pod{n}")
        for n, pod in enumerate(PODS[:5], 1)
    },
    (build.ip("172.31.241.6"),),
)

pods = st.lists(st.sampled_from(PODS), unique=True, max_size=6)
places = st.builds(
    Place,
    st.sampled_from([build.ip("198.18.0.1"), build.ip("198.18.0.2")]),
    st.sampled_from(["TCP", "UDP"]),
    st.sampled_from([80, 443]),
)


@st.composite
def frontends(draw: st.DrawFn) -> list[Frontend]:
    found = {}
    for place in draw(st.lists(places, unique=True, max_size=5)):
        chosen = draw(pods)
        cut = draw(st.integers(0, len(chosen)))
        port = draw(st.sampled_from([8080, 9090]))
        members, lingering = (
            tuple(Member(pod, port) for pod in part) for part in (chosen[:cut], chosen[cut:])
        )
        found[place] = Frontend(
            "default.kuard",
            place,
            members,
            lingering,
            affinity=draw(st.booleans()),
            affinity_timeout_s=draw(st.sampled_from([0, 60])),
            limits=Limits(connections_per_s=draw(st.sampled_from([0, 5, 6]))),
        )
    return [found[place] for place in sorted(found, key=frontend.place_order)]


class Switch:
    """Takes changes as Open vSwitch does: line by line, and refuses what it would refuse."""

    def __init__(self, tables: Tables) -> None:
        self.flows, self.groups = dict(tables.flows), dict(tables.groups)
        self.meters = dict(tables.meters)

    def take(self, wanted: openflow.Changes) -> None:
        for verb, text in openflow.render_meters(wanted):
            name, _, body = text.partition(",")
            number = int(name.removeprefix("meter="))
            assert (number in self.meters) == (verb == "mod-meter")
            self.meters[number] = body
        self._bundle(openflow.render_bundle(wanted))
        for number in wanted.meters.deletes:
            del self.meters[number]
            self.flows = {k: v for k, v in self.flows.items() if f"meter:{number}," not in v}

    def _bundle(self, text: str) -> None:
        for line in text.splitlines():
            kind, verb, rest = line.split(" ", 2)
            (self._flow if kind == "flow" else self._group)(verb, rest)
        for actions in self.flows.values():
            for number in re.findall(r"group:(\d+)", actions):
                assert int(number) in self.groups
            for number in re.findall(r"meter:(\d+)", actions):
                assert int(number) in self.meters

    def _flow(self, verb: str, rest: str) -> None:
        text, _, actions = rest.partition(",actions=")
        found = re.fullmatch(r"(?:cookie=0x[0-9a-f]+,)?table=(\d+),priority=(\d+),?(.*)", text)
        assert found
        key = FlowKey(int(found[1]), int(found[2]), found[3])
        if verb == "add":
            self.flows[key] = actions
        else:
            del self.flows[key]

    def _group(self, verb: str, rest: str) -> None:
        name, _, body = rest.partition(",")
        number = int(name.removeprefix("group_id="))
        assert (number in self.groups) == (verb != "add")
        if verb == "delete":
            del self.groups[number]
            self.flows = {k: v for k, v in self.flows.items() if f"group:{number}" not in v}
        else:
            self.groups[number] = body


@hypothesis.given(frontends(), frontends())
def test_one_change_turns_any_state_of_the_switch_into_the_wanted_one(
    before: list[Frontend], after: list[Frontend]
) -> None:
    observed, desired = whole.desired(before, GROUND), whole.desired(after, GROUND)
    switch = Switch(observed)
    switch.take(whole.changes(desired, observed))
    reached = Tables(switch.flows, switch.groups, switch.meters)
    assert reached == desired
    assert len(whole.changes(desired, reached)) == 0


@hypothesis.given(frontends(), frontends())
def test_a_member_that_stays_keeps_its_way_whatever_else_changes(
    before: list[Frontend], after: list[Frontend]
) -> None:
    def ways(wanted: list[Frontend]) -> dict[FlowKey, str]:
        return {key: v for key, v in whole.desired(wanted, GROUND).flows.items() if key.table == 22}

    def addresses(wanted: list[Frontend]) -> set[str]:
        return {str(member.address) for entry in wanted for member in entry.all_members}

    staying = addresses(before) & addresses(after)
    kept = [key for key in ways(before) if key.match.rpartition("=")[2] in staying]
    assert all(ways(after)[key] == ways(before)[key] for key in kept)


devices = st.frozensets(st.sampled_from(["svc0", "veth1", "veth2"]))


@hypothesis.given(devices, st.dictionaries(st.sampled_from(["svc0", "x"]), st.just("accept")))
def test_the_guard_ends_on_exactly_the_wanted_devices(
    wanted: frozenset[str], observed: dict[str, str]
) -> None:
    chains = dict(observed)
    change = delta.diff(guard.desired(wanted), observed)
    for line in guard.render(change).splitlines()[1:]:
        name = line.split("guard-")[1].split()[0]
        if line.startswith("delete"):
            del chains[name]
        else:
            chains[name] = line.rpartition("policy ")[2].split(";")[0]
    assert chains == dict.fromkeys(wanted, "drop")


spreads = st.builds(
    lambda weights: Spread(4, False, tuple(sorted(weights.items()))),
    st.dictionaries(st.integers(1, 4), st.integers(1, 3), min_size=1, max_size=3),
)
rulesets = st.builds(
    lambda at: Ruleset(frozenset({"client0"}), frozenset(place.vip for place in at), at),
    st.dictionaries(places, spreads, max_size=4),
)


class Table:
    """Our nftables table: refuses a verdict to no chain, and to lose a chain that is in use."""

    def __init__(self) -> None:
        self.chains: set[str] = set()
        self.verdicts: dict[str, str] = {}
        self.vips: set[str] = set()

    def take(self, transaction: str) -> None:
        for line in transaction.splitlines():
            verb, kind, *rest = line.split(" ")
            if kind == "element":
                self._element(verb, rest[2], line[line.index("{") + 2 : -2])
            elif kind == "chain" and rest[2].startswith("legs"):
                self._chain(verb, rest[2])

    def _element(self, verb: str, name: str, text: str) -> None:
        if name.startswith("vips"):
            (self.vips.update if verb == "add" else self.vips.difference_update)(text.split(", "))
        elif name.startswith("places"):
            key, _, verdict = text.partition(" : goto ")
            if verb == "add":
                assert verdict in self.chains
                assert key not in self.verdicts
                self.verdicts[key] = verdict
            else:
                del self.verdicts[key]

    def _chain(self, verb: str, name: str) -> None:
        if verb == "add":
            self.chains.add(name)
        elif verb == "delete":
            assert name not in self.verdicts.values()
            self.chains.remove(name)

    def holds(self, wanted: Ruleset) -> bool:
        verdicts = {
            f"{at.vip} . {at.protocol.lower()} . {at.port}": how.chain
            for at, how in wanted.places.items()
        }
        chains = {how.chain for how in wanted.places.values()}
        vips = {str(vip) for vip in wanted.vips}
        return (self.verdicts, self.chains, self.vips) == (verdicts, chains, vips)


@hypothesis.given(rulesets, rulesets)
def test_one_transaction_turns_any_table_into_the_wanted_one(
    before: Ruleset, after: Ruleset
) -> None:
    table = Table()
    table.take(spread.render(before, None))
    assert table.holds(before)
    table.take(spread.render(after, before))
    assert table.holds(after)


names = st.sampled_from(["a", "b", "c", "d"])
versions = st.integers(0, 3)
serving = st.dictionaries(
    names,
    st.builds(
        lambda decisions, slices: ServingNode(
            "", (LegAddress(build.ip("172.31.241.6"), ""),), decisions, slices
        ),
        versions,
        versions,
    ),
)
CLAIM = frontend.claims([build.service(vips=["198.18.0.1"])])[0]


@hypothesis.given(
    serving, st.lists(st.tuples(st.sampled_from(PODS), names)), st.frozensets(names), versions
)
def test_only_nodes_with_members_that_are_ready_or_took_part_get_a_share(
    nodes: dict[str, ServingNode],
    members: list[tuple[frontend.Address, str]],
    before: frozenset[str],
    spec_version: int,
) -> None:
    endpoints = tuple(
        Endpoint(address, node, True, True, False, (("", "TCP", 8080),))
        for address, node in members
    )
    known = Knowledge(endpoints, {}, spec_version)
    given = legs.shares(CLAIM, known, nodes, before)
    owners = {node for _, node in members}
    ready = {name for name, node in nodes.items() if node.decisions >= spec_version}
    assert given.keys() == owners & nodes.keys() & (ready | before)
    assert all(given[name] == sum(node == name for _, node in members) for name in given)


addresses = st.integers(1, 8).map(lambda n: build.ip(f"172.31.241.{n}"))


@hypothesis.given(
    st.dictionaries(names, addresses, max_size=4),
    st.dictionaries(st.integers(1, 6), st.frozensets(addresses, max_size=2), max_size=4),
)
def test_numbers_of_legs_are_unique_and_stay(
    nodes: dict[str, frontend.Address], observed: dict[int, frozenset[frontend.Address]]
) -> None:
    known = {
        name: ServingNode(name, (LegAddress(address, ""),), 0, 0) for name, address in nodes.items()
    }
    numbers = legs.number_legs(known, observed)
    assert numbers.keys() == known.keys()
    assert len(set(numbers.values())) == len(numbers)
    links = routes.parse_links(
        '[{"ifname":"l","addr_info":[{"local":"172.31.241.1","prefixlen":24,"scope":"global"}]}]'
    )
    entries = routes.ways({numbers[name]: known[name].legs for name in known}, links)
    if len(set(nodes.values())) == len(nodes):
        assert legs.number_legs(known, routes.leg_addresses(entries)) == numbers
