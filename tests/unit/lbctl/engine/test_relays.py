"""Nodes that serve members on others come and go while the controller runs."""

from controller_bed import Bed, Play
from lbctl.kube import resources

PORTS = [{"name": "", "port": 8080, "nodePort": 30080}]


def node_port(bed: Bed) -> int | None:
    (listener,) = (bed.decision() or {})["spec"]["listeners"]
    found: int | None = listener.get("nodePort")
    return found


def dataplane(bed: Bed) -> tuple[bool, str]:
    return bed.conditions().get("DataplaneReady", (False, ""))


def test_an_address_is_shown_when_a_relay_has_programmed_it(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.agent("edge-1", remoteMembers="nodePorts")
        await bed.scale(1)
        await bed.create(ports=PORTS)
        await bed.until(lambda: bed.decision() is not None)
        assert node_port(bed) == 30080
        assert bed.ingress() == []
        await bed.acknowledge("edge-1")
        await bed.until(lambda: bed.ingress() != [])
        await bed.until(lambda: dataplane(bed) == (True, "Programmed"))
        await bed.until(lambda: (bed.state() or ())[2:] == ("1/1",))

    play(body)


def test_decisions_tell_node_ports_from_the_first_relay_on_and_to_the_last(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.scale(1)
        await bed.create(ports=PORTS)
        await bed.until(lambda: dataplane(bed) == (False, "NoAgent"))
        assert node_port(bed) is None
        await bed.agent("edge-1", remoteMembers="nodePorts")
        await bed.until(lambda: node_port(bed) == 30080)
        patch = {"spec": {"remoteMembers": "never"}}
        await bed.api.patch(resources.SERVING_NODES, "edge-1", patch)
        await bed.until(lambda: node_port(bed) is None)

    play(body)


def test_an_agent_on_the_members_own_node_takes_over_from_relays(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.agent("edge-1", remoteMembers="nodePorts")
        await bed.scale(1)
        await bed.create(ports=PORTS)
        await bed.until(lambda: bed.decision() is not None)
        await bed.acknowledge("edge-1")
        await bed.until(lambda: dataplane(bed) == (True, "Programmed"))
        await bed.agent("node-1")
        await bed.until(lambda: (bed.state() or ())[:2] == ("Pending", "WaitingForAgent"))
        await bed.acknowledge("node-1")
        await bed.until(lambda: (bed.state() or ())[:2] == ("Down", "NoFabric"))

    play(body)
