"""A router that follows views pass by pass holds what one pass from scratch would make of each."""

import dataclasses
from collections.abc import Callable, Mapping

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

import dataplane_builders as build
from lbctl import delta
from lbctl.model.virtual_service import Listener, VirtualService
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.backends.router.kernel import Kernel, Wanted
from lbctl_dataplane.router_table import RouterTable
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.frontend import Place
from lbctl_dataplane.rules.router import flows, legs, routes, spread
from lbctl_dataplane.rules.router.legs import Knowledge, LegAddress, ServingNode, Shares
from lbctl_dataplane.rules.router.routes import Key
from lbctl_dataplane.rules.router.spread import Ruleset, Spread
from lbctl_dataplane.rules.router.spreading import Known

LINKS = routes.parse_links(
    '[{"ifname":"l","addr_info":[{"local":"172.31.241.1","prefixlen":24,"scope":"global"},'
    '{"local":"fd00::1","prefixlen":64,"scope":"global"}]}]'
)
NAMES = st.sampled_from(["a", "b", "c"])
NODES = st.sampled_from(["node-1", "node-2", "node-3"])
VIPS = st.lists(st.sampled_from(["198.18.0.1", "198.18.0.2", "2001:2::1"]), unique=True, max_size=3)
ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::a"])
STATES = st.sampled_from(["ready", "leaving", "unwell"])
ENDS = st.lists(st.tuples(ADDRESSES, NODES, STATES), max_size=3)
"""Address, node and state: who leaves still serves, who is unwell neither serves nor leaves."""
PROTOCOLS = st.sampled_from(["TCP", "UDP"])
PORTS = tuple(("", protocol, 80) for protocol in ("TCP", "UDP"))
CLIENTS = frozenset({"client0"})


class Linux:
    """A kernel in memory that takes parts as the real one does: it refuses what is not there."""

    def __init__(self) -> None:
        self.table: Ruleset | None = None
        self.entries: dict[Key, str] = {}
        self.chains: set[str] = set()
        self.flows: frozenset[flows.Flows] = frozenset()
        """UDP flows: each leg of each place gets some, whose clients never end them."""

    def take(self, wanted: Wanted, found: Kernel) -> None:
        change = delta.diff(wanted.entries, found.entries)
        assert all(self.entries.get(key) == found.entries.get(key) for key in change.upserts)
        self.entries.update(change.upserts)
        for key in change.deletes:
            del self.entries[key]
        self._check_chains(wanted, found)
        self._take_table(wanted.ruleset, found.ruleset)
        self.chains = _chains(self.table) if found.ruleset is None else self.chains
        assert wanted.ruleset is None or self.chains == _chains(self.table)
        self._forget(wanted.forgotten)

    def _forget(self, forgotten: flows.Forgotten) -> None:
        vips = self.table.vips if self.table is not None else frozenset()
        numbers = routes.leg_addresses(self.entries)
        left = {flow for flow in self.flows if flow.place.vip in vips and flow.leg in numbers}
        self.flows = frozenset(left - flows.among(self.flows, forgotten))

    def send(self) -> None:
        """Let clients send UDP to everywhere."""
        places = self.table.places if self.table is not None else {}
        self.flows |= {
            flows.Flows(place, leg)
            for place, how in places.items()
            for leg, _ in how.legs
            if place.protocol == "UDP"
        }

    def _take_table(self, wanted: Ruleset | None, found: Ruleset | None) -> None:
        if wanted is None:
            self.table = None
            return
        held = self.table if found is not None else None
        places = dict(held.places) if held is not None else {}
        vips = held.vips if held is not None else frozenset()
        for place in found.places if found is not None else ():
            del places[place]
        answering = held.answering if held is not None else frozenset()
        if found is not None:
            vips, answering = vips - found.vips, answering - found.answering
        assert not places.keys() & wanted.places.keys()
        self.table = Ruleset(
            wanted.clients,
            vips | wanted.vips,
            {**places, **wanted.places},
            answering | wanted.answering,
        )

    def _check_chains(self, wanted: Wanted, found: Kernel) -> None:
        """Chains are added where there is none, and go with the last place that has them."""
        if wanted.ruleset is None or found.ruleset is None:
            return
        text = spread.render(wanted.ruleset, found.ruleset, wanted.elsewhere)
        for verb, kind, *rest in (line.split() for line in text.splitlines()):
            if kind == "chain" and verb == "add":
                assert rest[2] not in self.chains
                self.chains.add(rest[2])
            elif kind == "chain" and verb == "delete":
                self.chains.remove(rest[2])


def _chains(table: Ruleset | None) -> set[str]:
    return {how.chain for how in table.places.values()} if table is not None else set()


class Router(RuleBasedStateMachine):
    """Decisions, endpoints, nodes and what they acknowledged move; audits come in between."""

    def __init__(self) -> None:
        super().__init__()
        self.linux = Linux()
        self.table = RouterTable()
        self.seen = Kernel(None, {}, LINKS)
        self.services: dict[str, VirtualService] = {}
        self.behind: dict[str, tuple[Endpoint, ...]] = {}
        self.versions: dict[str, int] = {}
        self.nodes: dict[str, ServingNode] = {}
        self.shares: dict[Place, Shares] = {}
        self.clock = 1
        for name in ("node-1", "node-2"):
            self.report(name, (4, 6), 0, False)

    # --- what moves -----------------------------------------------------------------------------

    @rule(
        name=NAMES,
        vips=VIPS,
        port=st.sampled_from([80, 443]),
        protocol=PROTOCOLS,
        ends=ENDS,
        known=st.booleans(),
    )
    def serve(
        self,
        name: str,
        vips: list[str],
        port: int,
        protocol: str,
        ends: list[tuple[str, str, str]],
        known: bool,
    ) -> None:
        self.decide(name, vips, port, protocol)
        self.scale(name, ends)
        for node in self.nodes if known else ():
            self.report(node, (4, 6), 0, False)
        self.make_it_so()

    @rule(name=NAMES, vips=VIPS, port=st.sampled_from([80, 443]), protocol=PROTOCOLS)
    def decide(self, name: str, vips: list[str], port: int, protocol: str) -> None:
        self.clock += 1
        made = build.service(name, vips, listeners=(Listener("", protocol, port, "pool"),))
        self.services[made.key] = made
        self.versions[made.key] = self.clock
        self.behind.setdefault(made.key, ())

    @rule(name=NAMES)
    def forget(self, name: str) -> None:
        for known in (self.services, self.versions, self.behind):
            known.pop(f"default.{name}", None)

    @rule(name=NAMES, ends=ENDS)
    def scale(self, name: str, ends: list[tuple[str, str, str]]) -> None:
        if f"default.{name}" in self.services:
            self.clock += 1
            self.behind[f"default.{name}"] = tuple(
                Endpoint(
                    build.ip(address),
                    node,
                    ready=state == "ready",
                    serving=state != "unwell",
                    terminating=state == "leaving",
                    ports=PORTS,
                )
                for address, node, state in ends
            )

    @rule(
        name=NODES,
        versions=st.sampled_from([(4,), (4, 6), ()]),
        behind=st.integers(0, 2),
        excluded=st.booleans(),
    )
    def report(self, name: str, versions: tuple[int, ...], behind: int, excluded: bool) -> None:
        number = name[-1]
        own = {4: f"172.31.241.1{number}", 6: f"fd00::{number}1"}
        ways = tuple(LegAddress(build.ip(own[version]), "") for version in versions)
        acknowledged = max(self.clock - behind, 0)
        self.nodes[name] = ServingNode(name, ways, acknowledged, acknowledged, excluded=excluded)

    @rule()
    def acknowledge(self) -> None:
        for name, node in self.nodes.items():
            self.nodes[name] = dataclasses.replace(node, decisions=self.clock, slices=self.clock)
        self.make_it_so()

    @rule(name=NODES)
    def lose(self, name: str) -> None:
        self.nodes.pop(name, None)

    # --- passes ---------------------------------------------------------------------------------

    @rule()
    def audit(self) -> None:
        self.seen = Kernel(self.linux.table, dict(self.linux.entries), LINKS)

    @rule(damage=st.sampled_from(["entries", "places", "table"]))
    def drift(self, damage: str) -> None:
        table = self.linux.table
        if damage == "entries":
            self.linux.entries.clear()
        elif damage == "table":
            self.linux.table = None
        elif table is not None:
            unused = frozenset(_chains(table))
            self.linux.table = dataclasses.replace(table, places={}, unused=unused)
        self.audit()
        self.make_it_so()

    @rule()
    def withdraw(self) -> None:
        self.table.read_back(self.seen)
        self.table.want_nothing()
        self._apply()
        assert (self.linux.table, self.linux.entries) == (None, {})
        self.shares.clear()

    @rule()
    def fail(self) -> None:
        """Make a pass whose last step failed: nobody knows what it did."""
        self.table.read_back(self.seen)
        self.table.want(self._known(), self.nodes, CLIENTS)
        numbers = legs.number_legs(self.nodes, routes.leg_addresses(self.linux.entries))
        wanted, found = self.table.parts()
        self.linux.take(dataclasses.replace(wanted, forgotten=flows.NONE), found)
        self._from_scratch(self._ways(numbers)[1], numbers)
        self.audit()
        self.linux.send()

    @rule()
    def make_it_so(self) -> None:
        self.table.read_back(self.seen)
        self.table.want(self._known(), self.nodes, CLIENTS)
        numbers = legs.number_legs(self.nodes, routes.leg_addresses(self.linux.entries))
        before = self.linux.flows
        self._apply()
        assert self.linux.flows == before & self._kept(numbers)
        self.linux.send()
        ways, reachable = self._ways(numbers)
        places, vips = self._from_scratch(reachable, numbers)
        answering = frozenset(place.vip for place in places)
        assert self.linux.table == Ruleset(CLIENTS, frozenset(vips), places, answering)
        assert self.linux.entries == {**ways, **{routes.reject(vip): "" for vip in vips}}

    def _apply(self) -> None:
        self.linux.take(*self.table.parts())
        self.table.took()

    def _known(self) -> Known:
        return Known(
            tuple(self.services[key] for key in sorted(self.services)),
            dict(self.behind),
            dict(self.versions),
            lambda key: Knowledge(self.behind[key], {}, self.versions[key]),
        )

    # --- the same from scratch ------------------------------------------------------------------

    def _kept(self, numbers: Mapping[str, int]) -> set[flows.Flows]:
        return {
            flows.Flows(claim.place, numbers[end.node])
            for claim in frontend.claims(self.services.values())
            for end in self.behind[claim.service.key]
            if claim.listener.protocol == "UDP"
            and end.address.version == claim.vip.address.version
            and end.serving
            and end.node in numbers
        }

    def _ways(self, numbers: Mapping[str, int]) -> tuple[dict[Key, str], dict[str, ServingNode]]:
        ways = routes.ways({numbers[name]: self.nodes[name].legs for name in numbers}, LINKS)
        return ways, {name: self.nodes[name] for name in numbers}

    def _from_scratch(
        self, nodes: dict[str, ServingNode], numbers: Mapping[str, int]
    ) -> tuple[dict[Place, Spread], set[frontend.Address]]:
        claims = frontend.claims(self.services.values())
        known: Callable[[str], Knowledge] = self._known().knowledge
        self.shares = {
            claim.place: legs.shares(
                claim,
                known(claim.service.key),
                nodes,
                frozenset(self.shares.get(claim.place, ())),
            )
            for claim in claims
        }
        places = {
            claim.place: Spread(
                claim.vip.address.version,
                False,
                tuple(sorted((numbers[n], w) for n, w in self.shares[claim.place].items())),
            )
            for claim in claims
            if self.shares[claim.place]
        }
        unserved = {
            claim.service.key
            for claim in claims
            if legs.without_leg(claim, known(claim.service.key), self.shares)
        }
        assert self.table.unserved.keys() == unserved
        return places, {claim.vip.address for claim in claims}


TestRouter = Router.TestCase
