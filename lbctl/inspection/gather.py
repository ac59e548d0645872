"""Read what `lbctl get` and `lbctl explain` look at, with the rights of who runs them."""

import asyncio
import contextlib
import datetime
import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

from lbctl import app
from lbctl.engine.caches import Caches
from lbctl.inspection import pulse, scene
from lbctl.kube import client, kubectl_rules, resources
from lbctl.kube.client import Client
from lbctl.kube.objects import Json
from lbctl.kube.resources import Resource
from lbctl.model import errors
from lbctl.model.errors import Misconfigured
from lbctl.runtime import config_file
from lbctl.settings import Settings
from lbctl.translate.endpoints import SERVICE_LABEL

SETTINGS_MAP, SETTINGS_KEY = "lbctl-settings", "settings.yaml"
"""The ConfigMap that the chart makes for the controller."""
LOOK_AGAIN_S = 3.0
"""Longer than any Lease of ours stays the same while its owner lives, at the default settings."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look."""

    kubeconfig: Path | None
    context: str
    """Of the kubeconfig; empty: the current one."""
    config: Path | None
    """Settings file; None: what the controller in the cluster reads."""
    namespace: str
    """Where lbctl runs."""


@contextlib.asynccontextmanager
async def api_at(place: Place) -> AsyncIterator[Client]:
    """Return a client for a person. Raises Misconfigured."""
    found = kubectl_rules.find(place.kubeconfig, place.context, os.environ, Path.home())
    async with client.Client(found) as api:
        yield api


async def settings_at(api: Client, place: Place) -> Settings:
    """Return the controller's settings. Raises Misconfigured where there are none to be read."""
    if place.config is not None:
        return config_file.load(place.config)
    named = f"ConfigMap {place.namespace}/{SETTINGS_MAP}"
    try:
        found = await api.get(resources.CONFIG_MAPS, SETTINGS_MAP, place.namespace)
        text = str(found["data"][SETTINGS_KEY])
    except (errors.NotFound, errors.Unauthorised, KeyError) as error:
        why = "may not be read" if isinstance(error, errors.Unauthorised) else "is not there"
        raise Misconfigured(
            f"the controller's settings: {named} {why}\n"
            "give them with --config FILE, or say with --system-namespace where lbctl runs"
        ) from error
    return config_file.parse(text, named)


def assumed(place: Place) -> Settings:
    """Return what may be assumed of settings that are not to be read: where the Leases are."""
    return Settings.model_validate({"lease": {"namespace": place.namespace}})


async def around(api: Client, settings: Settings, key: str) -> scene.Scene:
    """Return the scene of one Service `<namespace>/<name>`, and of it only."""
    namespace, _, name = key.partition("/")
    async with asyncio.TaskGroup() as group:
        asked = {
            resource: group.create_task(_around(api, resource, namespace, name))
            for resource, _ in Caches().sources()
        }
        beats = group.create_task(_pulse(api, settings))
    lists = {resource: task.result() for resource, task in asked.items()}
    return scene.scene(lists, app.rules_of(settings), beats.result())


async def whole(api: Client, settings: Settings, reads: Iterable[Resource]) -> scene.Scene:
    """Return the scene of the cluster, with the objects of some resources."""
    async with asyncio.TaskGroup() as group:
        asked = {resource: group.create_task(_listed(api, resource)) for resource in reads}
        beats = group.create_task(_pulse(api, settings))
    lists = {resource: task.result() for resource, task in asked.items()}
    return scene.scene(lists, app.rules_of(settings), beats.result())


async def _around(api: Client, resource: Resource, namespace: str, name: str) -> tuple[Json, ...]:
    if resource == resources.SERVICES:
        return await _one(api, resource, name, namespace)
    if resource == resources.NAMESPACES:
        return await _one(api, resource, namespace)
    if resource == resources.L4_VIRTUAL_SERVICES:
        return await _one(api, resource, f"{namespace}.{name}")
    if resource == resources.ENDPOINT_SLICES:
        label = f"{SERVICE_LABEL}={name}"
        return (await api.list(resource, namespace, label_selector=label)).items
    if resource == resources.L4_POLICIES:
        return await _listed(api, resource, namespace)
    return await _listed(api, resource)


async def _one(
    api: Client, resource: Resource, name: str, namespace: str | None = None
) -> tuple[Json, ...]:
    try:
        return (await api.get(resource, name, namespace),)
    except errors.NotFound:
        return ()


async def _listed(
    api: Client, resource: Resource, namespace: str | None = None
) -> tuple[Json, ...]:
    return (await api.list(resource, namespace)).items


async def _pulse(api: Client, settings: Settings) -> pulse.Pulse:
    lease = settings.lease
    first = pulse.parse_beats(await _listed(api, resources.LEASES, lease.namespace))
    if not pulse.doubtful(first, _now()):
        return pulse.judge(first, _now(), lease.name)
    await asyncio.sleep(LOOK_AGAIN_S)
    second = pulse.parse_beats(await _listed(api, resources.LEASES, lease.namespace))
    return pulse.judge(second, _now(), lease.name, before=first)


def _now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.UTC)
