"""Addresses that change in place, are shared, kept and waited for, beside a controller at work."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import controller_bed
import event_loops
from controller_bed import SETTINGS, Bed, Play, served
from lbctl.kube import resources
from lbctl.kube.objects import Json
from lbctl.settings import AddressPoolSettings, Settings

IPS = "lbctl.io/load-balancer-ips"
KEY = "lbctl.io/shared-ip"


async def note(bed: Bed, name: str = "kuard", **notes: str | None) -> None:
    """Change annotations of ours on a Service."""
    told = {f"lbctl.io/{key.replace('_', '-')}": text for key, text in notes.items()}
    await bed.api.patch(resources.SERVICES, name, {"metadata": {"annotations": told}}, "default")


async def share(bed: Bed, name: str, port: int, key: str = "web") -> None:
    """Create a Service that is willing to share its address."""
    body: Json = {
        "metadata": {"name": name, "annotations": {KEY: key}},
        "spec": {"type": "LoadBalancer", "ipFamilies": ["IPv4"], "ports": [{"port": port}]},
    }
    await bed.api.create(resources.SERVICES, body, "default")


def roles(bed: Bed, name: str = "kuard") -> dict[str, str]:
    spec = (bed.decision(name) or {}).get("spec") or {"vips": ()}
    return {vip["address"]: vip["role"] for vip in spec["vips"]}


def given(bed: Bed) -> dict[str, list[str]]:
    """Return who holds each address; nobody: it is reserved."""
    return {
        obj["spec"]["address"]: sorted(holder["name"] for holder in obj["spec"]["holders"])
        for obj in bed.all(resources.IP_ALLOCATIONS)
    }


def reason(bed: Bed, name: str = "kuard") -> str:
    return bed.conditions(name).get("AddressAllocated", (False, ""))[1]


def settings(**changes: Any) -> Settings:
    pool = AddressPoolSettings(name="default", addresses=("192.0.2.1-192.0.2.3",), **changes)
    return SETTINGS.model_copy(update={"address_pools": (pool,)})


def alone(tmp_path: Path, body: controller_bed.Body, using: Settings) -> None:
    async def within() -> None:
        async with controller_bed.controlled(tmp_path, using) as bed:
            await body(bed)

    event_loops.run(within(), event_loops.Hurried)


# --- another address --------------------------------------------------------------------------


def test_another_address_is_programmed_before_names_and_status_follow(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.agent("node-1")
        await bed.scale(1)
        await bed.create()
        await bed.until(lambda: bool(bed.decision()))
        await bed.acknowledge("node-1")
        await served(bed)
        await note(bed, load_balancer_ips="192.0.2.3")
        await bed.until(lambda: roles(bed) == {"192.0.2.1": "Current", "192.0.2.3": "Incoming"})
        await event_loops.turns(100)
        assert (roles(bed)["192.0.2.3"], bed.ingress()) == ("Incoming", ["192.0.2.1"])
        await bed.acknowledge("node-1")
        await bed.until(lambda: roles(bed) == {"192.0.2.3": "Current", "192.0.2.1": "Outgoing"})
        assert bed.ingress() == ["192.0.2.1"]
        await bed.acknowledge("node-1")
        await bed.until(lambda: bed.ingress() == ["192.0.2.3"])
        await bed.until(lambda: roles(bed) == {"192.0.2.3": "Current"})
        assert given(bed) == {"192.0.2.1": ["kuard"], "192.0.2.3": ["kuard"]}
        await bed.acknowledge("node-1")
        await bed.until(lambda: given(bed) == {"192.0.2.3": ["kuard"]})

    play(body)


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ("192.0.2.2", "AddressTaken"),
        ("203.0.113.1", "AddressNotInPool"),
        ("192.0.2", "AddressMalformed"),
        ("2001:db8::1", "AddressWrongFamily"),
    ],
)
def test_what_cannot_be_had_leaves_the_address_alone_until_it_can(
    play: Play, wish: str, why: str
) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        await bed.create("other")
        await served(bed, "other")
        await note(bed, load_balancer_ips=wish)
        await bed.until(lambda: reason(bed) == why)
        assert (bed.ingress(), roles(bed)) == (["192.0.2.1"], {"192.0.2.1": "Current"})
        await bed.delete("other")
        await note(bed, load_balancer_ips="192.0.2.2")
        await bed.until(lambda: bed.ingress() == ["192.0.2.2"])
        await bed.until(lambda: reason(bed) == "Allocated")

    play(body)


def test_a_family_more_and_a_family_less_change_in_place(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        both = {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack"}
        await bed.api.patch(resources.SERVICES, "kuard", {"spec": both}, "default")
        await bed.until(lambda: bed.ingress() == ["192.0.2.1", "2001:db8::1"])
        one = {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
        await bed.api.patch(resources.SERVICES, "kuard", {"spec": one}, "default")
        await bed.until(lambda: bed.ingress() == ["192.0.2.1"])
        await bed.until(lambda: given(bed) == {"192.0.2.1": ["kuard"]})

    play(body)


@pytest.mark.parametrize(
    ("policy", "first"), [("PreferDualStack", ["192.0.2.1"]), ("RequireDualStack", [])]
)
def test_a_family_that_comes_later_is_waited_for_only_where_it_is_required(
    tmp_path: Path, policy: str, first: list[str]
) -> None:
    async def body(bed: Bed) -> None:
        await bed.create(families=("IPv4", "IPv6"), ipFamilyPolicy=policy)
        await bed.until(lambda: reason(bed) == "NoPool")
        assert bed.ingress() == first
        assert given(bed) == ({"192.0.2.1": ["kuard"]} if first else {})
        more = {"metadata": {"name": "six"}, "spec": {"addresses": ["2001:db8::/124"]}}
        await bed.api.create(resources.ADDRESS_POOLS, more)
        await bed.until(lambda: bed.ingress() == ["192.0.2.1", "2001:db8::1"])

    alone(tmp_path, body, settings())


# --- one address for several ------------------------------------------------------------------


def test_a_shared_address_is_left_by_one_and_kept_by_the_other(play: Play) -> None:
    async def body(bed: Bed) -> None:
        for name, port in (("web", 80), ("mail", 25)):
            await share(bed, name, port)
            await served(bed, name)
        assert given(bed) == {"192.0.2.1": ["mail", "web"]}
        assert bed.ingress("web") == bed.ingress("mail") == ["192.0.2.1"]
        before = (bed.decision("mail"), bed.service("mail"))
        await bed.delete("web")
        await bed.until(lambda: given(bed) == {"192.0.2.1": ["mail"]})
        await bed.until(lambda: bed.service("web") is None)
        assert (bed.decision("mail"), bed.service("mail")) == before
        await bed.delete("mail")
        await bed.until(lambda: given(bed) == {})

    play(body)


def test_a_port_that_another_sharer_has_is_refused_and_nobody_loses_any(play: Play) -> None:
    def ports(name: str) -> list[int]:
        return [entry["port"] for entry in (bed_of[0].decision(name) or {})["spec"]["listeners"]]

    bed_of: list[Bed] = []

    async def body(bed: Bed) -> None:
        bed_of.append(bed)
        for name, port in (("web", 80), ("mail", 25)):
            await share(bed, name, port)
            await served(bed, name)
        both = {"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 443}]}}
        await bed.api.patch(resources.SERVICES, "mail", both, "default")
        await bed.until(lambda: reason(bed, "mail") == "PortClash")
        await event_loops.turns(100)
        assert (ports("web"), bed.ingress("mail")) == ([80], ["192.0.2.1"])
        assert 80 not in ports("mail")
        await bed.delete("web")
        await bed.until(lambda: reason(bed, "mail") == "Allocated")
        await bed.until(lambda: ports("mail") == [80, 443])

    play(body)


# --- kept and waited for ----------------------------------------------------------------------


def test_an_address_is_kept_for_the_same_name_and_free_for_others_in_time(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        await bed.delete()
        await bed.until(lambda: bed.service() is None)
        assert given(bed) == {"192.0.2.1": []}
        await bed.create("other", loadBalancerIP="192.0.2.1")
        await bed.until(lambda: reason(bed, "other") == "AddressReserved")
        await bed.create("next")
        await served(bed, "next")
        assert bed.ingress("next") == ["192.0.2.2"]
        await bed.create()
        await served(bed)
        assert bed.ingress() == ["192.0.2.1"]
        await bed.delete()
        await served(bed, "other")
        assert bed.ingress("other") == ["192.0.2.1"]

    alone(tmp_path, body, settings(reuse_delay_seconds=1))


def test_a_reservation_ends_under_the_next_leader_too(tmp_path: Path) -> None:
    using = settings(reuse_delay_seconds=1)

    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            async with event_loops.running(bed.controller(using)):
                await bed.create()
                await served(bed)
                await bed.delete()
                await bed.until(lambda: given(bed) == {"192.0.2.1": []})
            async with event_loops.running(bed.controller(using)):
                await bed.until(lambda: given(bed) == {})

    event_loops.run(body(), event_loops.Hurried)


def test_a_freed_address_goes_to_who_waits_longest(play: Play) -> None:
    async def body(bed: Bed) -> None:
        for name in ("a", "b", "c"):
            await bed.create(name)
            await served(bed, name)
        since = {
            "z": "2026-01-01T00:00:00Z",
            "y": "2026-01-02T00:00:00Z",
            "x": "2026-01-03T00:00:00Z",
        }
        for name, moment in since.items():
            await waiting(bed, name, moment)
        for name in reversed(since):
            await bed.until(lambda name=name: reason(bed, name) == "PoolExhausted")
        loop = asyncio.get_running_loop()
        for freed, winner in (("a", "z"), ("b", "y"), ("c", "x")):
            began = loop.time()
            await bed.delete(freed)
            await served(bed, winner)
            assert loop.time() - began < 1
        assert [bed.ingress(name) for name in since] == [
            ["192.0.2.1"],
            ["192.0.2.2"],
            ["192.0.2.3"],
        ]

    play(body)


async def waiting(bed: Bed, name: str, since: str) -> None:
    """Create a Service that has been without an address for a while."""
    await bed.create(name)
    told = {
        "type": "lbctl.io/AddressAllocated",
        "status": "False",
        "reason": "PoolExhausted",
        "message": "",
        "lastTransitionTime": since,
    }
    body = {"status": {"conditions": [told]}}
    await bed.api.patch(resources.SERVICES, name, body, "default", sub="status")


# --- a quarrel --------------------------------------------------------------------------------


def test_who_keeps_undoing_a_status_is_answered_at_a_bounded_rate(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        first = len(bed.fake.objects.writes)
        foreign = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}}
        loop = asyncio.get_running_loop()
        end, sent = loop.time() + 2.5, 0
        while loop.time() < end:
            await bed.api.patch(resources.SERVICES, "kuard", foreign, "default", sub="status")
            sent += 1
            await asyncio.sleep(0.01)
        # Each of ours makes one of theirs a change again: half of these are ours.
        changes = bed.fake.objects.writes[first:].count("patch services/status kuard")
        assert sent > 50
        assert 2 <= changes <= 8
        await bed.until(lambda: bed.ingress() == ["192.0.2.1"])

    play(body)
