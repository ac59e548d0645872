"""The controller as it ships against a real API server, and what it makes of objects there."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path

import event_loops
from lbctl import app
from lbctl.kube import config
from lbctl.kube.client import Client
from lbctl.kube.objects import Json
from lbctl.kube.resources import Resource
from lbctl.settings import Settings


@contextlib.asynccontextmanager
async def controlled(kubeconfig: Path, settings: Settings) -> AsyncIterator[Client]:
    """Run a controller meanwhile; return a client for a user."""
    program = app.run_controller(settings, kubeconfig)
    async with Client(config.load(kubeconfig)) as api, event_loops.running(program):
        yield api


async def until(api: Client, resource: Resource, name: str, true: Callable[[Json], bool]) -> Json:
    """Wait until an object is there and something holds for it; return it."""
    async with contextlib.aclosing(_states(api, resource, name)) as states:
        async for state in states:
            if state is not None and true(state):
                return state
    raise AssertionError(f"the watch of {resource.plural} ended")


async def until_gone(api: Client, resource: Resource, name: str) -> None:
    """Wait until there is no such object."""
    async with contextlib.aclosing(_states(api, resource, name)) as states:
        async for state in states:
            if state is None:
                return
    raise AssertionError(f"the watch of {resource.plural} ended")


async def _states(api: Client, resource: Resource, name: str) -> AsyncGenerator[Json | None, None]:
    """Yield an object as it is and whenever it changes; None while it does not exist."""
    namespace = "default" if resource.namespaced else None
    listed = await api.list(resource, namespace)
    yield next((obj for obj in listed.items if obj["metadata"]["name"] == name), None)
    watch = api.watch(resource, listed.resource_version, namespace)
    async with contextlib.aclosing(watch) as changes:  # type: ignore[type-var]
        async for event in changes:
            if event.type != "BOOKMARK" and event.object["metadata"]["name"] == name:
                yield None if event.type == "DELETED" else event.object
