"""What the router does with decisions, endpoints and what nodes say, on a kernel in memory."""

import asyncio
import json
from typing import Any

import pytest

import dataplane_builders as build
from lbctl.kube import resources
from lbctl.model.virtual_service import Address, Phase, VirtualService
from lbctl_dataplane import decisions
from lbctl_dataplane.backends.router.kernel import Kernel, Wanted
from lbctl_dataplane.decisions import View
from lbctl_dataplane.roles import Programmed
from lbctl_dataplane.router import RouterRole
from lbctl_dataplane.rules.router import routes

LINKS = routes.parse_links(
    json.dumps(
        [
            {
                "ifname": f"leaf-{n}",
                "addr_info": [
                    {"local": f"172.31.241.{4 * n + 1}", "prefixlen": 30, "scope": "global"}
                ],
            }
            for n in (1, 2)
        ]
    )
)
VIP = build.place()


class Memory:
    """A kernel that holds what it is told."""

    def __init__(self) -> None:
        self.held = Wanted(None, {})
        self.opened: list[str] = []

    async def observe(self) -> Kernel:
        return Kernel(self.held.ruleset, self.held.entries, LINKS)

    async def apply(self, wanted: Wanted, found: Kernel) -> int:
        changed = int(wanted != self.held)
        self.held = wanted
        return changed

    def let_through(self, device: str) -> None:
        self.opened.append(device)


class Router:
    def __init__(self, *, fabric: bool = True, answer_pings: bool = True) -> None:
        self.linux = Memory()
        self.role = RouterRole("router", self.linux, answer_pings=answer_pings)
        self.woken = 0
        asyncio.run(self.role.follow(self._wake))
        if fabric:
            spec = {
                "driver": "linux",
                "linux": {"router": "router", "clientInterfaces": ["client0"]},
            }
            self._put(resources.FABRICS, {"metadata": {"name": "leaf"}, "spec": spec}, 1)

    def _wake(self) -> None:
        self.woken += 1

    def _put(self, resource: resources.Resource, obj: dict[str, Any], version: int) -> None:
        obj["metadata"]["resourceVersion"] = str(version)
        self.role.stores[resource].apply("MODIFIED", obj)

    def node(self, number: int, version: int, acknowledged: int, **told: Any) -> None:
        leg = (f"172.31.241.{4 * number + 2}", f"02:00:00:00:00:0{number}")
        found = build.serving_node(f"node-{number}", [leg], acknowledged, acknowledged, **told)
        self._put(resources.SERVING_NODES, found, version)

    def program(self, view: View) -> Programmed:
        return asyncio.run(self.role.program(view))

    def legs(self) -> tuple[tuple[int, int], ...]:
        """Return (leg, weight) of the VIP."""
        ruleset = self.linux.held.ruleset
        found = ruleset.places.get(VIP) if ruleset is not None else None
        return found.legs if found is not None else ()


def view(
    *endpoints: tuple[str, str], slice_version: int = 20, decision: VirtualService | None = None
) -> View:
    service = decision or build.service(vips=["198.18.0.1"])
    behind = decisions.read_slices([build.slice_object("s", slice_version, *endpoints)])
    return View((service,), {service.key: 10}, {service.key: behind}, 30, 30, True)


def answering(router: Router) -> frozenset[Address]:
    ruleset = router.linux.held.ruleset
    assert ruleset is not None
    return ruleset.answering


BOTH = (("10.0.0.1", "node-1"), ("10.0.0.2", "node-1"), ("10.0.0.3", "node-2"))


@pytest.fixture
def router() -> Router:
    made = Router()
    made.node(1, 2, acknowledged=20)
    made.node(2, 3, acknowledged=20)
    return made


def test_traffic_goes_to_nodes_by_their_members(router: Router) -> None:
    assert router.program(view(*BOTH)).exceptions == ()
    assert router.legs() == ((1, 2), (2, 1))
    assert sorted(router.linux.opened) == ["leaf-1", "leaf-2"]


def test_a_node_is_waited_for_and_said_so(router: Router) -> None:
    late = view(("10.0.0.1", "node-1"), slice_version=21)
    (waiting,) = router.program(late).exceptions
    assert (waiting.key, waiting.reason) == ("default.kuard", "NoLeg")
    assert router.legs() == ()
    router.node(1, 4, acknowledged=21)
    assert router.program(late).exceptions == ()
    assert router.legs() == ((1, 1),)


def test_a_node_that_becomes_excluded_gets_no_share_and_gets_it_back(router: Router) -> None:
    router.program(view(*BOTH))
    router.node(1, 4, acknowledged=20, excluded="taint x")
    assert router.program(view(*BOTH)).exceptions == ()
    assert router.legs() == ((2, 1),)
    router.node(1, 5, acknowledged=20)
    router.program(view(*BOTH))
    assert router.legs() == ((1, 2), (2, 1))


def test_members_that_fail_count_for_nothing_unless_all_do(router: Router) -> None:
    router.program(view(*BOTH))
    for version, (first, second), legs in (
        (4, (["10.0.0.1"], []), ((1, 1), (2, 1))),
        (6, (["10.0.0.1", "10.0.0.2"], []), ((2, 1),)),
        (8, (["10.0.0.1", "10.0.0.2"], ["10.0.0.3"]), ((1, 2), (2, 1))),
        (10, ([], []), ((1, 2), (2, 1))),
    ):
        router.node(1, version, acknowledged=20, failing=first)
        router.node(2, version + 1, acknowledged=20, failing=second)
        assert router.program(view(*BOTH)).exceptions == ()
        assert router.legs() == legs


def test_a_node_does_not_speak_for_the_members_of_another(router: Router) -> None:
    router.node(2, 4, acknowledged=20, failing=["10.0.0.1", "10.0.0.2"])
    router.program(view(*BOTH))
    assert router.legs() == ((1, 2), (2, 1))


def test_who_takes_part_stays_in_while_slices_move(router: Router) -> None:
    router.program(view(*BOTH))
    router.program(view(*BOTH[1:], slice_version=99))
    assert router.legs() == ((1, 1), (2, 1))


def test_a_vip_without_members_keeps_its_refusal_and_is_no_exception(router: Router) -> None:
    assert router.program(view()).exceptions == ()
    assert routes.Key(4, "reject", "198.18.0.1") in router.linux.held.entries


def test_a_vip_answers_pings_while_somebody_takes_it(router: Router) -> None:
    for ends, expected in ((BOTH, {VIP.vip}), ((), set()), (BOTH, {VIP.vip})):
        router.program(view(*ends))
        assert answering(router) == expected


def test_by_setting_no_vip_answers_pings() -> None:
    router = Router(answer_pings=False)
    router.node(1, 2, acknowledged=20)
    router.program(view(*BOTH))
    assert router.legs()
    assert answering(router) == set()


def test_a_withdrawn_vip_leaves_nothing(router: Router) -> None:
    router.program(view(*BOTH))
    withdrawn = build.service(vips=["198.18.0.1"], phase=Phase.WITHDRAWN)
    router.program(view(*BOTH, decision=withdrawn))
    assert router.legs() == ()
    assert not any(key.kind == "reject" for key in router.linux.held.entries)


def test_without_a_fabric_of_ours_nothing_is_programmed_and_the_reason_named() -> None:
    router = Router(fabric=False)
    router.node(1, 2, acknowledged=20)
    (exception,) = router.program(view(*BOTH)).exceptions
    assert "no Fabric" in exception.message
    held = router.linux.held
    assert (held.ruleset, held.entries) == (None, {})


def test_a_leg_on_no_link_of_the_router_is_not_used(router: Router) -> None:
    router.node(9, 4, acknowledged=20)
    (exception,) = router.program(view(("10.0.0.9", "node-9"))).exceptions
    assert "node-9" in exception.message


def test_what_routers_say_about_themselves_wakes_nobody(router: Router) -> None:
    woken = router.woken
    own = {"metadata": {"name": "router"}, "spec": {"role": "router"}, "status": {}}
    router._put(resources.SERVING_NODES, own, 50)
    assert router.woken == woken
    router.node(1, 51, acknowledged=30)
    assert router.woken == woken + 1
