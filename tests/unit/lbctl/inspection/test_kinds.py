"""What `lbctl get` says about each kind of thing."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import controller_bed
import event_loops
import inspect_bed
import nameserver_builders
from controller_bed import NAMESPACE, Bed, served
from inspect_reasons import (
    V4_ONLY,
    agent,
    everything,
    failing,
    late_router,
    member,
    noted,
    programmed,
)
from lbctl.inspection import agents, members, pools, published, vips, virtual_services
from lbctl.inspection.listing import Branch, Listing
from lbctl.kube import resources
from lbctl.model.virtual_service import parse_virtual_service
from lbctl_dns import decisions

Play = Callable[[Callable[[Bed], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def beside(tmp_path: Path) -> Play:
    """Run a body on an API server with a controller."""

    def played(body: Callable[[Bed], Coroutine[Any, Any, None]]) -> None:
        async def within() -> None:
            async with controller_bed.controlled(tmp_path) as bed:
                await body(bed)

        event_loops.run(within(), event_loops.Hurried)

    return played


def alone(tmp_path: Path, body: Callable[[Bed], Coroutine[Any, Any, None]]) -> None:
    """Run a body on an API server without a controller."""

    async def within() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            await body(bed)

    event_loops.run(within(), event_loops.Hurried)


def items(found: Listing, *keys: str) -> list[tuple[object, ...]]:
    return [tuple(row.item[key] for key in keys) for row in found.rows]


def labels(branch: Branch) -> list[str]:
    return [branch.label, *(label for child in branch.children for label in labels(child))]


def test_a_virtual_service_is_shown_with_all_that_hangs_on_it(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await everything(bed)
        await served(bed)
        await bed.until(lambda: bed.state() == ("Up", "", "1/1"))
        (row,) = virtual_services.listing(await inspect_bed.scene(bed)).rows
        assert row.item["vips"] == ["192.0.2.1"]
        assert (row.item["state"], row.item["membersUp"]) == ("Up", 1)
        assert row.reference == "l4virtualservices.lbctl.io/default.kuard"
        assert labels(row.branch()) == [
            "default/kuard  lab--default-kuard  Up",
            "vip 192.0.2.1  Current, pool default",
            "TCP 8080  lab--default-kuard--8080",
            "10.244.1.1:8080  node-1  usable, programmed",
            "name kuard.default.lb.example  published",
        ]

    beside(body)


def test_a_service_without_an_address_is_a_virtual_service_to_be(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await bed.create("theirs", loadBalancerClass="example.org/lb")
        await bed.create("plain", type="ClusterIP")
        (row,) = virtual_services.listing(await inspect_bed.scene(bed, V4_ONLY)).rows
        assert (row.item["name"], row.item["state"]) == ("kuard", "Pending")
        assert row.item["reason"] == "WaitingForController"
        assert row.reference == "services/kuard"

    alone(tmp_path, body)


def test_each_member_says_why_it_is_not_used(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        made = await bed.create()
        states: tuple[dict[str, bool], ...] = (
            {"ready": True},
            {"ready": False},
            {"ready": False, "serving": True, "terminating": True},
        )
        await inspect_bed.endpoints(bed, *states)
        await inspect_bed.decide(bed, made["metadata"]["uid"])
        await bed.agent("node-1")
        found = members.listing(await inspect_bed.scene(bed))
        assert items(found, "address", "usable", "reason") == [
            ("10.244.1.1", True, ""),
            ("10.244.1.2", False, "NotReady"),
            ("10.244.1.3", False, "Terminating"),
        ]
        assert [str(row.item["programmed"])[:22] for row in found.rows] == [
            "behind: decisions 0 of",
            "",
            "",
        ]

    alone(tmp_path, body)


def test_a_member_with_weight_zero_says_so(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        made = await bed.create()
        await inspect_bed.endpoints(bed, {"ready": True}, {"ready": True})
        await inspect_bed.decide(bed, made["metadata"]["uid"])
        weights = {"memberWeights": [{"addresses": "10.244.1.1/32", "weight": 0}]}
        await bed.api.patch(
            resources.L4_VIRTUAL_SERVICES, "default.kuard", {"spec": {"policy": weights}}
        )
        found = members.listing(await inspect_bed.scene(bed))
        assert items(found, "usable", "reason") == [(False, "WeightZero"), (True, "")]
        stage = inspect_bed.stage(await inspect_bed.explained(bed), "members")
        assert stage.text == "1 of 2 endpoints are usable"
        assert "its weight is 0" in stage.details[0]

    alone(tmp_path, body)


def test_each_member_says_what_its_health_monitor_found(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        made = await bed.create()
        await inspect_bed.endpoints(bed, {"ready": True}, {"ready": True}, {"ready": False})
        await inspect_bed.decide(bed, made["metadata"]["uid"])
        monitor = {"spec": {"policy": {"monitor": {"type": "tcp"}}}}
        await bed.api.patch(resources.L4_VIRTUAL_SERVICES, "default.kuard", monitor)
        await bed.agent("node-1")
        member = {"key": "default.kuard", "protocol": "TCP", "port": 8080, "reason": "TimedOut"}
        first, second = ({**member, "address": f"10.244.1.{n}"} for n in (1, 2))
        await bed.acknowledge("node-1", failing=[first])
        found = members.listing(await inspect_bed.scene(bed))
        assert items(found, "usable", "reason", "health") == [
            (False, "Failing", "TimedOut"),
            (True, "", "up"),
            (False, "NotReady", ""),
        ]
        told = await inspect_bed.explained(bed)
        stage = inspect_bed.stage(told, "members")
        assert stage.text == "2 of 3 endpoints are usable, 1 of them fails its health monitor"
        assert "fails its health monitor" in stage.details[0]
        assert "(TimedOut)" in stage.details[0]
        await bed.acknowledge("node-1", failing=[first, second])
        found = members.listing(await inspect_bed.scene(bed))
        assert items(found, "usable", "health")[:2] == [(True, "TimedOut"), (True, "TimedOut")]

    alone(tmp_path, body)


def test_the_last_ones_of_a_service_are_used_while_they_terminate(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        made = await bed.create()
        await inspect_bed.endpoints(bed, {"ready": False, "serving": True, "terminating": True})
        await inspect_bed.decide(bed, made["metadata"]["uid"])
        (row,) = members.listing(await inspect_bed.scene(bed)).rows
        assert row.item["usable"] is True
        assert "yes, terminating" in row.cells

    alone(tmp_path, body)


@pytest.mark.parametrize(
    ("story", "told"),
    [
        (member, "no agent there has ever reported"),
        (agent, "behind: decisions 0 of "),
        (failing, "not programmed: NoPodPort: no port of the switch"),
        (programmed, "programmed"),
    ],
)
def test_a_member_is_as_far_as_its_nodes_agent(beside: Play, story: Any, told: str) -> None:
    async def body(bed: Bed) -> None:
        await story(bed)
        await bed.until(lambda: bed.decision() is not None)
        (row,) = members.listing(await inspect_bed.scene(bed)).rows
        assert str(row.item["programmed"]).startswith(told)

    beside(body)


def test_an_agent_that_is_lost_says_since_when(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await programmed(bed)
        spec = {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}
        await bed.api.patch(resources.LEASES, "lbctl-agent-node-1", spec, NAMESPACE)
        scene = await inspect_bed.scene(bed)
        (row,) = members.listing(scene).rows
        assert row.item["programmed"] == "agent lost: last seen 2026-01-01T00:00:00Z"
        assert items(agents.listing(scene), "alive", "lastSeen") == [
            (False, "2026-01-01T00:00:00Z")
        ]

    beside(body)


def test_an_agent_without_a_lease_is_lost(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await programmed(bed)
        await bed.api.delete(resources.LEASES, "lbctl-agent-node-1", NAMESPACE)
        (row,) = members.listing(await inspect_bed.scene(bed)).rows
        assert row.item["programmed"] == "agent lost: it has no Lease"

    beside(body)


def test_the_agents_of_nodes_and_routers(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await late_router(bed)
        fault = {"key": "default.kuard", "reason": "NoLeg", "message": "node-1 has none"}
        await bed.acknowledge("router", exceptions=[fault])
        found = agents.listing(await inspect_bed.scene(bed))
        assert items(found, "name", "role", "alive") == [
            ("node-1", "node", True),
            ("router", "router", True),
        ]
        assert labels(found.rows[1].branch()) == [
            "router  router, alive",
            "default.kuard  NoLeg: node-1 has none",
        ]

    beside(body)


def test_addresses_come_in_order_with_their_holders_and_ports(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create(families=("IPv6", "IPv4"))
        await served(bed)
        await bed.create("second")
        await served(bed, "second")
        found = vips.listing(await inspect_bed.scene(bed))
        assert items(found, "address", "pool", "state", "holders") == [
            (address, "default", "Bound", [{"service": f"default/{name}", "ports": ["8080/TCP"]}])
            for address, name in (
                ("192.0.2.1", "kuard"),
                ("192.0.2.2", "second"),
                ("2001:db8::1", "kuard"),
            )
        ]

    beside(body)


def test_what_is_shared_or_kept_for_somebody_says_so(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        holders = [
            {"uid": f"u-{name}", "namespace": "shop", "name": name, "ports": ports}
            for name, ports in (
                ("a", [{"port": 53, "protocol": "UDP"}]),
                ("b", [{"port": 53, "protocol": "TCP"}]),
            )
        ]
        spec: dict[str, Any] = {"address": "192.0.2.1", "state": "Bound", "pool": "default"}
        await allocate(bed, {**spec, "holders": holders, "sharingKey": "dns"})
        kept = {"namespace": "shop", "name": "c"}
        spec = {"address": "192.0.2.2", "state": "Reserved", "reservedFor": kept}
        await allocate(bed, spec)
        found = vips.listing(await inspect_bed.scene(bed))
        first, second = found.rows
        assert first.cells[:5] == (
            "192.0.2.1",
            "default",
            "Bound",
            "shop/a,shop/b",
            "53/UDP,53/TCP",
        )
        assert second.cells[:5] == ("192.0.2.2", "<none>", "Reserved", "for shop/c", "<none>")
        assert len(found.within("shop").rows) == 2
        assert found.within("default").rows == ()
        assert labels(first.branch())[1:] == ["shop/a  53/UDP", "shop/b  53/TCP"]

    alone(tmp_path, body)


async def allocate(bed: Bed, spec: dict[str, Any]) -> None:
    name = "ip-" + spec["address"].replace(".", "-")
    await bed.api.create(resources.IP_ALLOCATIONS, {"metadata": {"name": name}, "spec": spec})


def test_a_pool_may_be_larger_than_a_column(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        await inspect_bed.pool(bed, assigned={"ipv6": "2"}, available={"ipv6": str(2**64 - 3)})
        (row,) = pools.listing(await inspect_bed.scene(bed)).rows
        assert row.cells[3:5] == ("-", "2/1.8e19")
        assert row.item["available"] == {"ipv6": "18446744073709551613"}

    alone(tmp_path, body)


def test_pools_come_in_the_order_of_their_priority(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        overlap = {"type": "Ready", "status": "False", "reason": "Overlaps", "message": "with a"}
        await inspect_bed.pool(bed, "a")
        await inspect_bed.pool(bed, "b", conditions=[overlap], assigned={}, available={})
        patch = {"spec": {"priority": 5}}
        await bed.api.patch(resources.ADDRESS_POOLS, "b", patch)
        found = pools.listing(await inspect_bed.scene(bed))
        assert [row.cells[:6] for row in found.rows] == [
            ("b", "5", "true", "-", "-", "Overlaps"),
            ("a", "100", "true", "1/3", "-", "True"),
        ]

    alone(tmp_path, body)


ROLES = (
    ("192.0.2.1",),
    ("192.0.2.1", "2001:db8::1"),
    (("192.0.2.1", "Current"), ("192.0.2.2", "Incoming")),
    (("192.0.2.1", "Outgoing"), ("192.0.2.2", "Current"), ("2001:db8::1", "Incoming")),
)


@pytest.mark.parametrize("roles", ROLES)
def test_records_have_the_addresses_that_the_dns_server_answers(roles: Any) -> None:
    obj = nameserver_builders.decision("kuard", *roles)
    obj["spec"] |= {
        "name": "x",
        "phase": "Serving",
        "service": {"namespace": "n", "name": "k", "uid": "u"},
    }
    mine = published.answers(parse_virtual_service(obj))
    assert mine == decisions.parse(obj).answers
    assert mine


def test_records_are_told_with_their_owner_and_why_they_are_not_answered(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create("silent")
        await served(bed, "silent")
        await member(bed)
        await served(bed)
        await bed.until(bed.published)
        found = published.listing(await inspect_bed.scene(bed))
        assert items(found, "name", "type", "data", "ttl", "reason") == [
            ("kuard.default.lb.example", "A", "192.0.2.2", 0, ""),
            ("silent.default.lb.example", "A", "192.0.2.1", 0, "NoEndpoints"),
            ("2.2.0.192.in-addr.arpa", "PTR", "kuard.default.lb.example", 0, ""),
        ]

    beside(body)


def test_a_name_of_somebody_else_is_told_with_who_has_it(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        notes = {"lbctl.io/hostname": "www.lb.example"}
        await noted(bed, "other", notes)
        await served(bed, "other")
        await bed.scale(1)
        await noted(bed, notes=notes, ports=[{"name": "http", "port": 80}])
        await served(bed)
        await bed.until(lambda: "takenBy" in (bed.decision() or {})["spec"]["names"][0])
        found = published.listing(await inspect_bed.scene(bed)).within("default")
        mine, missing = found.named(["default/kuard"])
        told = items(mine, "name", "type", "published", "reason")
        assert ("www.lb.example", "A", False, "HostnameTaken (default/other)") in told
        assert ("_http._tcp.kuard.default.lb.example", "SRV", True, "") in told
        assert missing == ()

    beside(body)


OWNED = inspect_bed.settings(
    nameservice={"subdomains": ["lb.example"], "ttl": 0, "ownerRecords": True, "reverse": False}
)


def test_records_of_the_settings_and_names_without_data_are_told(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await noted(bed, notes={"lbctl.io/dns-at-zero": "nodata"})
        await served(bed)
        await bed.until(lambda: bool((bed.decision() or {})["spec"]["names"][0].get("noData")))
        for tree in (controller_bed.SETTINGS, OWNED):
            found = published.listing(await inspect_bed.scene(bed, tree))
            assert items(found, "type", "published") == [("A", False), ("TXT", True)]

    beside(body)
