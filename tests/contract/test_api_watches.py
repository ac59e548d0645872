"""Watches and Leases of the API server. Fake and real."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import event_loops
from api_builders import Ask, decision, service, version
from lbctl.kube import resources
from lbctl.kube.client import Client, WatchEvent
from lbctl.kube.objects import Json
from lbctl.model import errors

SERVICES, OURS = resources.SERVICES, resources.L4_VIRTUAL_SERVICES


async def taken(events: AsyncIterator[WatchEvent], count: int) -> list[WatchEvent]:
    """Return the next events of a watch that are no bookmarks."""
    found: list[WatchEvent] = []
    async for event in events:
        if event.type != "BOOKMARK":
            found.append(event)
        if len(found) == count:
            break
    return found


def test_a_watch_tells_every_change_after_a_version_in_order(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        listed = await api.list(OURS)
        made = await api.create(OURS, decision(name))
        key = made["metadata"]["name"]
        moved = await api.patch(OURS, key, {"spec": {"phase": "Draining"}})
        await api.delete(OURS, key)
        async with contextlib.aclosing(api.watch(OURS, listed.resource_version)) as events:
            added, modified, deleted = await taken(events, 3)
        assert (added.type, added.object) == ("ADDED", made)
        assert (modified.type, modified.object) == ("MODIFIED", moved)
        assert deleted.type == "DELETED"
        assert version(deleted.object) > version(moved)

    ask(body)


def test_a_watch_tells_what_happens_while_it_is_open(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        listed = await api.list(OURS)
        async with contextlib.aclosing(api.watch(OURS, listed.resource_version)) as events:
            first = asyncio.ensure_future(taken(events, 1))
            await event_loops.turns()
            made = await api.create(OURS, decision(name))
            assert [event.object for event in await first] == [made]

    ask(body)


def test_a_watch_by_label_tells_of_those_that_come_and_go(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        listed = await api.list(OURS)
        key = (await api.create(OURS, decision(name)))["metadata"]["name"]
        for value in (name, name, None):
            patch = {"metadata": {"labels": {"in": value}}, "spec": {"phase": "Draining"}}
            await api.patch(OURS, key, patch)
        selected = api.watch(OURS, listed.resource_version, label_selector=f"in={name}")
        async with contextlib.aclosing(selected) as events:
            assert [event.type for event in await taken(events, 2)] == ["ADDED", "DELETED"]

    ask(body)


def test_a_watch_of_one_namespace_tells_nothing_of_another(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        listed = await api.list(SERVICES)
        await api.create(SERVICES, service(name), "kube-system")
        await api.create(SERVICES, service(name), "default")
        watch = api.watch(SERVICES, listed.resource_version, "default")
        async with contextlib.aclosing(watch) as events:
            (event,) = await taken(events, 1)
        assert event.object["metadata"]["namespace"] == "default"

    ask(body)


def test_of_two_who_take_a_lease_they_both_read_one_succeeds(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        lease: Json = {"metadata": {"name": name}, "spec": {"holderIdentity": ""}}
        read = await api.create(resources.LEASES, lease, "default")
        meta = {"name": name, "resourceVersion": str(version(read))}

        async def take(who: str) -> str:
            spec = {"holderIdentity": who, "leaseDurationSeconds": 8}
            try:
                await api.replace(resources.LEASES, {"metadata": meta, "spec": spec}, "default")
            except errors.Conflict:
                return ""
            return who

        winners = [who for who in await asyncio.gather(take("a"), take("b")) if who]
        held = await api.get(resources.LEASES, name, "default")
        assert winners == [held["spec"]["holderIdentity"]]

    ask(body)
