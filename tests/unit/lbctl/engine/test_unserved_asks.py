"""What the whole controller writes about a Service that asks for what is not there."""

from controller_bed import Bed, Play, served
from lbctl.kube import resources

MIXED = [{"name": "web", "port": 80}, {"name": "sig", "port": 2905, "protocol": "SCTP"}]


def shown_ports(bed: Bed) -> list[dict[str, object]] | None:
    service = bed.service()
    assert service is not None
    (entry,) = service["status"]["loadBalancer"]["ingress"]
    assert entry["ipMode"] == "VIP"
    return list(entry["ports"]) if "ports" in entry else None


def test_a_port_that_nobody_carries_has_its_error_in_the_status(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create(ports=MIXED)
        await served(bed)
        assert shown_ports(bed) == [
            {"port": 80, "protocol": "TCP"},
            {"port": 2905, "protocol": "SCTP", "error": "lbctl.io/ProtocolNotServed"},
        ]
        decision = bed.decision()
        assert decision is not None
        assert [entry["port"] for entry in decision["spec"]["listeners"]] == [80]
        await bed.api.patch(resources.SERVICES, "kuard", {"spec": {"ports": MIXED[:1]}}, "default")
        await bed.until(lambda: shown_ports(bed) is None)

    play(body)


def test_a_service_of_such_ports_only_has_an_address_and_the_reason(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create(ports=MIXED[1:])
        await served(bed)
        assert bed.conditions()["DataplaneReady"] == (False, "ProtocolNotServed")
        assert bed.state() == ("Down", "ProtocolNotServed", "0/0")

    play(body)


def test_an_unknown_annotation_is_told_once_by_event_and_stays_in_the_condition(
    play: Play,
) -> None:
    def told(bed: Bed) -> list[str]:
        events = bed.all(resources.EVENTS)
        return [event["message"] for event in events if event["reason"] == "UnknownAnnotation"]

    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        assert told(bed) == []
        slip = {"metadata": {"annotations": {"lbctl.io/adress-pool": "public"}}}
        await bed.api.patch(resources.SERVICES, "kuard", slip, "default")
        await bed.until(lambda: bool(told(bed)))
        await bed.scale(1)
        await bed.until(bed.published)
        assert told(bed) == ["ignored, as lbctl knows no annotation lbctl.io/adress-pool"]

    play(body)


def test_members_of_an_excluded_node_do_not_count_while_others_are_elsewhere(play: Play) -> None:
    async def exclude(bed: Bed, reason: str) -> None:
        body = {"spec": {"excluded": reason}}
        await bed.api.patch(resources.SERVING_NODES, "node-1", body)

    async def body(bed: Bed) -> None:
        for node in ("node-1", "node-2"):
            await bed.agent(node)
        await bed.create()
        await served(bed)
        ends = [
            {"addresses": [f"10.244.{n}.1"], "nodeName": f"node-{n}", "conditions": {}}
            for n in (1, 2)
        ]
        await bed.scale(0)
        await bed.api.patch(resources.ENDPOINT_SLICES, "kuard-abc", {"endpoints": ends}, "default")
        for reason, members in (("", "2/2"), ("taint x", "1/2"), ("", "2/2")):
            await exclude(bed, reason)
            await bed.until(lambda wanted=members: (bed.state() or ("", "", ""))[2] == wanted)

    play(body)
