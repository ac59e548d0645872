"""UDP clients that keep their port follow the members from leg to leg, on the real kernel."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import dataplane_builders as build
import router_bed
from dataplane_bed import network_of
from lbctl.model.virtual_service import Listener
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.backends.router.kernel import LinuxRouter
from lbctl_dataplane.router_table import RouterTable
from lbctl_dataplane.rules.router.legs import Knowledge, LegAddress, ServingNode
from lbctl_dataplane.rules.router.sharing import Known
from spaces import sh

pytestmark = pytest.mark.root

VIPS = ("198.18.0.1", "2001:2::1")
PORT = 80
NODES = (1, 2)


@pytest.fixture(scope="module")
def bed() -> Iterator[router_bed.RouterBed]:
    made = router_bed.RouterBed("ru", len(NODES))
    try:
        made.up(VIPS, PORT)
        yield made
    finally:
        made.down()


@dataclass(frozen=True)
class On:
    """Members of one node, on both families."""

    node: int
    ready: bool = True
    serving: bool = True
    port: int = PORT

    def ends(self) -> tuple[Endpoint, ...]:
        ports = (("", "UDP", self.port),)
        return tuple(
            Endpoint(
                build.ip(address),
                f"node-{self.node}",
                self.ready,
                self.serving,
                not self.ready,
                ports,
            )
            for address in (f"10.0.{self.node}.{self.port}", f"fd00:{self.node}::{self.port}")
        )


class Router:
    """The agent's two halves that matter here; one with a memory, or one that was started anew."""

    def __init__(self, bed: router_bed.RouterBed) -> None:
        self._bed = bed
        self._linux = LinuxRouter()
        self._table = RouterTable()
        self._nodes = {
            f"node-{n}": ServingNode(
                f"node-{n}",
                tuple(LegAddress(build.ip(leg), bed.mac(n)) for leg in bed.legs(n)),
                9,
                9,
            )
            for n in NODES
        }

    def serve(self, *members: On, vips: tuple[str, ...] = VIPS) -> int:
        """Make one pass with these members behind the VIPs; return the number of changes."""
        service = build.service("u", vips, listeners=(Listener("", "UDP", PORT, "pool"),))
        ends = tuple(end for member in members for end in member.ends())
        known = Known(
            (service,),
            {service.key: ends},
            {service.key: 1},
            lambda _: Knowledge(ends, {}, 1),
        )
        with network_of(self._bed.space("router")):
            return asyncio.run(self._pass(known))

    async def _pass(self, known: Known) -> int:
        self._table.read_back(await self._linux.observe())
        self._table.want(known, self._nodes, frozenset({"client0"}))
        changed = await self._linux.apply(*self._table.parts())
        self._table.took()
        return changed

    def clear(self) -> None:
        with network_of(self._bed.space("router")):
            asyncio.run(self._clear())

    async def _clear(self) -> None:
        self._table.read_back(await self._linux.observe())
        self._table.want_nothing()
        await self._linux.apply(*self._table.parts())


@pytest.fixture
def router(bed: router_bed.RouterBed) -> Iterator[Router]:
    made = Router(bed)
    yield made
    Router(bed).clear()
    sh("conntrack", "-F", inside=bed.space("router"))


class Client:
    """A UDP client that never changes its port."""

    def __init__(self, bed: router_bed.RouterBed, vip: str) -> None:
        family = socket.AF_INET6 if ":" in vip else socket.AF_INET
        with network_of(bed.space("client")):
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.settimeout(0.5)
        self._socket.connect((vip, PORT))

    def ask(self) -> str:
        """Return the name of the node that answers, or "" when none does."""
        try:
            self._socket.send(b"who")
            return self._socket.recv(200).decode().split()[0]
        except OSError:
            return ""

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=VIPS)
def client(bed: router_bed.RouterBed, request: pytest.FixtureRequest) -> Iterator[Client]:
    made = Client(bed, request.param)
    yield made
    made.close()


def marks(bed: router_bed.RouterBed) -> str:
    inside = bed.space("router")
    return "".join(
        sh("conntrack", "-L", "-f", family, "-p", "udp", inside=inside)
        for family in ("ipv4", "ipv6")
    )


def test_the_only_member_moves_and_the_flow_goes_with_it(router: Router, client: Client) -> None:
    router.serve(On(1))
    assert client.ask() == "node-1"
    router.serve(On(2))
    assert client.ask() == "node-2"


def test_a_flow_stays_while_its_member_leaves_and_goes_when_that_has_ended(
    router: Router, client: Client
) -> None:
    router.serve(On(1))
    assert client.ask() == "node-1"
    router.serve(On(1, ready=False), On(2))
    assert client.ask() == "node-1"
    assert router.serve(On(1, ready=False, serving=False), On(2)) > 0
    assert client.ask() == "node-2"


def test_flows_of_other_legs_keep_their_mark(bed: router_bed.RouterBed, router: Router) -> None:
    router.serve(On(1), On(2))
    with contextlib.ExitStack() as opened:
        clients = [
            opened.enter_context(contextlib.closing(Client(bed, vip)))
            for vip in VIPS
            for _ in range(20)
        ]
        before = [client.ask() for client in clients]
        assert set(before) == {"node-1", "node-2"}
        router.serve(On(2))
        stayed = marks(bed)
        assert stayed.count(f"mark={0x1B000002}") == before.count("node-2")
        assert f"mark={0x1B000001}" not in stayed
        assert {client.ask() for client in clients} == {"node-2"}


def test_where_nobody_is_left_the_next_member_gets_the_flow(router: Router, client: Client) -> None:
    router.serve(On(1))
    assert client.ask() == "node-1"
    router.serve()
    assert client.ask() == ""
    router.serve(On(2))
    assert [client.ask(), client.ask()][-1] == "node-2"


def test_what_ended_while_no_agent_ran_is_forgotten_at_its_start(
    bed: router_bed.RouterBed, router: Router, client: Client
) -> None:
    router.serve(On(1))
    assert client.ask() == "node-1"
    router.serve(On(1, ready=False), On(2))
    assert client.ask() == "node-1"
    assert Router(bed).serve(On(2)) > 0
    assert client.ask() == "node-2"
    assert Router(bed).serve(On(2)) == 0


def test_a_flow_that_an_answer_began_goes_as_well(
    bed: router_bed.RouterBed, router: Router, client: Client
) -> None:
    router.serve(On(1))
    assert client.ask() == "node-1"
    flip_flows(bed)
    assert client.ask() == "node-1"
    router.serve(On(2))
    assert client.ask() == "node-2"


def flip_flows(bed: router_bed.RouterBed) -> None:
    """Let every flow be as if the VIP had sent its first packet."""
    inside = bed.space("router")
    for line in marks(bed).splitlines():
        fields = dict(word.split("=") for word in reversed(line.split()) if "=" in word)
        sh("conntrack", "-D", "-p", "udp", "--orig-src", fields["src"], inside=inside)
        sh(
            *("conntrack", "-I", "-p", "udp", "-t", "30", "-s", fields["dst"], "-d", fields["src"]),
            *("--sport", fields["dport"], "--dport", fields["sport"]),
            *("--mark", fields["mark"]),
            inside=inside,
        )


def test_a_port_that_goes_takes_its_flows_but_not_those_of_the_vip_s_others(
    bed: router_bed.RouterBed, router: Router
) -> None:
    inside = bed.space("router")
    router.serve(On(1))
    others = {
        family: ("-s", client, "-d", vip, "--sport", "5000", "--dport", "81")
        for family, client, vip in (
            ("ipv4", "203.0.113.10", VIPS[0]),
            ("ipv6", "2001:db8:c::10", VIPS[1]),
        )
    }
    for flow in others.values():
        sh(
            *("conntrack", "-I", "-p", "tcp", "--state", "ESTABLISHED", "-t", "30", *flow),
            *("--mark", f"{0x1B000001:#x}"),
            inside=inside,
        )
    router.serve(On(2))
    for family in others:
        assert "dport=81" in sh("conntrack", "-L", "-f", family, "-p", "tcp", inside=inside)
