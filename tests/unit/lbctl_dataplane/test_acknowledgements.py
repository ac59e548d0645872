"""An acknowledgement costs the router what waits for it, whatever else there is."""

import dataclasses

import dataplane_builders as build
from lbctl.model.virtual_service import VirtualService
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules.kept import Kept
from lbctl_dataplane.rules.router.legs import Knowledge, LegAddress, ServingNode
from lbctl_dataplane.rules.router.sharing import Known, Legs
from lbctl_dataplane.rules.router.spreading import Spreading

PORTS = (("", "TCP", 80),)
NODES = {
    f"node-{n}": ServingNode(f"node-{n}", (LegAddress(build.ip(f"172.31.241.1{n}"), ""),), 5, 5)
    for n in (1, 2)
}


class Fabric:
    """Services with members on a node of their own, on node-2, and on one without an agent."""

    def __init__(self) -> None:
        self.looked_at: list[str] = []
        self._services = {f"default.s{n}": self._service(n) for n in range(20)}
        ends = {key: self._ends(n) for n, key in enumerate(self._services)}
        self.versions = dict.fromkeys(self._services, 1)
        self._behind = ends
        self.spreading = Spreading(Kept())

    @staticmethod
    def _service(number: int) -> VirtualService:
        return build.service(name=f"s{number}", vips=(f"198.18.0.{number + 1}",))

    @staticmethod
    def _ends(number: int) -> tuple[Endpoint, ...]:
        nodes = ("node-1", "node-2", "without-agent")
        return tuple(
            Endpoint(build.ip(f"10.0.{number}.{at}"), node, True, True, False, PORTS)
            for at, node in enumerate(nodes)
        )

    def knowledge(self, key: str) -> Knowledge:
        self.looked_at.append(key)
        return Knowledge(self._behind[key], {}, self.versions[key])

    def passed(self, nodes: dict[str, ServingNode]) -> set[str]:
        """Return which virtual services a pass looked at."""
        self.looked_at.clear()
        known = Known(
            tuple(self._services.values()), self._behind, dict(self.versions), self.knowledge
        )
        self.spreading.update(known, Legs(nodes, {"node-1": 1, "node-2": 2}), {})
        return set(self.looked_at)


def test_an_acknowledgement_is_news_to_who_waits_for_it() -> None:
    fabric = Fabric()
    assert len(fabric.passed(NODES)) == 20
    ahead = dataclasses.replace(NODES["node-1"], decisions=6)
    assert fabric.passed({**NODES, "node-1": ahead}) == set()
    fabric.versions["default.s3"] = 7
    assert fabric.passed({**NODES, "node-1": ahead}) == {"default.s3"}


def test_a_new_service_is_looked_at_again_when_its_node_has_come_so_far() -> None:
    fabric = Fabric()
    fabric.versions["default.s3"] = 7
    assert len(fabric.passed(NODES)) == 20
    come = dataclasses.replace(NODES["node-2"], decisions=7)
    assert fabric.passed({**NODES, "node-2": come}) == {"default.s3"}
    (place,) = [
        place for place in fabric.spreading.places.desired if place.vip == build.ip("198.18.0.4")
    ]
    assert fabric.spreading.places.desired[place].legs == ((2, 1),)
