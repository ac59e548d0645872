"""A store follows the API server through everything that may happen to a watch."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import event_loops
from fakes import api_server
from fakes.api_objects import Refusal
from lbctl.kube import resources
from lbctl.kube.client import Client
from lbctl.kube.reflector import Reflector
from lbctl.kube.resources import Resource
from lbctl.kube.store import Store


class Bed:
    """One server, one client, and one store that a reflector feeds."""

    def __init__(self, fake: api_server.ApiServer, api: Client) -> None:
        self.fake = fake
        self.api = api
        self.store = Store()
        self.changed = asyncio.Event()
        self.store.subscribe(lambda change: self.changed.set())

    async def create(self, name: str) -> None:
        body = {"metadata": {"name": name}, "spec": {"driver": "linux"}}
        await self.api.create(resources.FABRICS, body)

    async def holds(self, *names: str) -> None:
        """Wait until the store holds exactly these."""
        while {obj["metadata"]["name"] for obj in self.store} != set(names):
            self.changed.clear()
            await self.changed.wait()


def play(
    body: Callable[[Bed], Coroutine[Any, Any, None]],
    before: Callable[[Bed], Coroutine[Any, Any, None]] | None = None,
) -> None:
    async def within() -> None:
        async with api_server.serving() as fake, Client(fake.cluster) as api:
            bed = Bed(fake, api)
            if before is not None:
                await before(bed)
            reflector = Reflector(api, resources.FABRICS, bed.store)
            async with event_loops.running(reflector.run()):
                await body(bed)

    event_loops.run(within(), event_loops.Hurried)


def test_a_kind_that_the_server_does_not_have_is_told() -> None:
    async def within() -> None:
        async with api_server.serving() as fake, Client(fake.cluster) as api:
            told = asyncio.Event()
            missing = Reflector(api, Resource("lbctl.io", "v1", "none", "None", False), Store())
            missing.refused = told.set
            async with event_loops.running(missing.run()):
                await told.wait()

    event_loops.run(within(), event_loops.Hurried)


def test_what_was_there_and_what_comes_and_goes_is_followed() -> None:
    async def before(bed: Bed) -> None:
        await bed.create("old")

    async def body(bed: Bed) -> None:
        await bed.store.synced.wait()
        await bed.create("new")
        await bed.holds("old", "new")
        await bed.api.delete(resources.FABRICS, "old")
        await bed.holds("new")

    play(body, before)


def test_a_watch_that_ends_is_taken_up_where_it_was() -> None:
    async def body(bed: Bed) -> None:
        await bed.create("a")
        await bed.holds("a")
        bed.fake.end_watches()
        await bed.create("b")
        await bed.holds("a", "b")
        assert sum("watch" not in call for call in bed.fake.queries) == 1

    play(body)


@pytest.mark.parametrize("fault", ["compact", "break_watches"])
def test_nothing_is_missed_when_the_past_is_gone_or_the_connection_breaks(fault: str) -> None:
    async def body(bed: Bed) -> None:
        await bed.create("a")
        await bed.create("b")
        await bed.holds("a", "b")
        bed.fake.unavailable = True
        getattr(bed.fake, fault)()
        bed.fake.unavailable = False
        await bed.api.delete(resources.FABRICS, "a")
        await bed.create("c")
        await bed.holds("b", "c")

    play(body)


@pytest.mark.parametrize("code", [403, 404, 503])
def test_a_list_that_is_refused_is_asked_for_again(code: int) -> None:
    async def before(bed: Bed) -> None:
        await bed.create("a")
        bed.fake.refuse("GET", "limit=", Refusal(code, "Told", "once"))

    async def body(bed: Bed) -> None:
        await bed.holds("a")

    play(body, before)


def test_a_bookmark_moves_the_version_without_a_change() -> None:
    async def body(bed: Bed) -> None:
        await bed.store.synced.wait()
        lease = {"metadata": {"name": "other"}, "spec": {}}
        await bed.api.create(resources.LEASES, lease, "default")
        await event_loops.until(lambda: any("watch" in call for call in bed.fake.queries))
        bed.fake.bookmark()
        await event_loops.until(lambda: bed.store.resource_version == bed.fake.objects.version)
        assert len(bed.store) == 0

    play(body)
