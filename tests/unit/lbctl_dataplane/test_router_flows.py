"""Which UDP flows a router is told to forget, pass by pass, whatever became of the one before."""

import pytest

import dataplane_builders as build
from lbctl.model.virtual_service import Listener
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.backends.router.kernel import Kernel
from lbctl_dataplane.router_table import RouterTable
from lbctl_dataplane.rules.router import routes
from lbctl_dataplane.rules.router.flows import NONE, AllBut, Ended, Flows, Forgotten
from lbctl_dataplane.rules.router.legs import Knowledge, LegAddress, ServingNode
from lbctl_dataplane.rules.router.spreading import Known

VIPS = ("198.18.0.1",)
AT = build.place(protocol="UDP")
LINKS = routes.parse_links(
    '[{"ifname":"l","addr_info":[{"local":"172.31.241.1","prefixlen":24,"scope":"global"}]}]'
)
NODES = {
    f"node-{n}": ServingNode(f"node-{n}", (LegAddress(build.ip(f"172.31.241.1{n}"), ""),), 9, 9)
    for n in (1, 2)
}


class Router:
    """A table by passes; `fails` says that nobody knows what the pass did."""

    def __init__(self) -> None:
        self._table = RouterTable()
        self._seen = Kernel(None, {}, LINKS)

    def serve(self, *nodes: int, vips: tuple[str, ...] = VIPS, fails: bool = False) -> Forgotten:
        listeners = (Listener("", "UDP", 80, "pool"),)
        service = build.service(vips=vips, listeners=listeners)
        ports = (("", "UDP", 80),)
        ends = tuple(
            Endpoint(build.ip(f"10.0.0.{n}"), f"node-{n}", True, True, False, ports) for n in nodes
        )
        known = Known(
            (service,),
            {service.key: ends},
            {service.key: len(vips)},
            lambda _: Knowledge(ends, {}, 1),
        )
        self._table.read_back(self._seen)
        self._table.want(known, NODES, frozenset({"client0"}))
        wanted, _ = self._table.parts()
        if fails:
            self._seen = Kernel(None, {}, LINKS)
        else:
            self._table.took()
        return wanted.forgotten


def kept(*legs: int) -> frozenset[Flows]:
    return frozenset(Flows(AT, leg) for leg in legs)


@pytest.fixture
def router() -> Router:
    return Router()


def test_at_its_start_a_router_keeps_what_has_members_and_nothing_else(router: Router) -> None:
    assert router.serve(1, 2) == AllBut(kept(1, 2))


def test_then_it_forgets_what_ended_and_that_once(router: Router) -> None:
    router.serve(1, 2)
    assert router.serve(2) == Ended(kept(1))
    assert router.serve(2) == NONE


def test_after_a_pass_that_failed_nothing_is_known_to_be_there(router: Router) -> None:
    router.serve(1)
    router.serve(1, 2, fails=True)
    assert router.serve(1) == AllBut(kept(1))
    assert router.serve(1) == NONE


def test_with_a_vip_that_goes_all_its_connections_go_anyway(router: Router) -> None:
    router.serve(1)
    assert router.serve(1, vips=()) == NONE
