"""`kubectl describe` tells every reason in the words of its condition.

That events have the words of conditions, and `lbctl explain` the same reason, is what
`tests/unit/lbctl/inspection/test_explain_agrees.py` shows for each reason.
"""

import asyncio
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

import api_builders
import builders
import event_loops
from lbctl.engine import events, executor
from lbctl.kube import config, resources
from lbctl.kube.client import Client
from lbctl.kube.objects import Json
from lbctl.kube.resources import Resource
from lbctl.model.reasons import (
    MEANING,
    OF_POLICIES,
    OF_POOLS,
    Condition,
    ConditionType,
    Reason,
)
from lbctl.translate.service import translate_service
from lbctl_lab import binaries, progress

pytestmark = pytest.mark.root
TRUE = {
    Reason.ALLOCATED,
    Reason.POOL_SERVES,
    Reason.POLICY_ACCEPTED,
    Reason.POLICY_SUPPORTED,
}
OF_SERVICES = [
    (kind, reason)
    for kind, told in executor.TOLD.items()
    for reason in sorted(told, key=lambda one: one.value)
] + [(ConditionType.ADDRESS_ALLOCATED, Reason.UNKNOWN_ANNOTATION)]


def described(kubeconfig: Path, *what: str) -> set[tuple[str, str, str]]:
    """Return type, reason and message of the events that kubectl shows of an object."""
    kubectl = binaries.built(binaries.KUBERNETES, progress.Progress()) / "kubectl"
    argv = [str(kubectl), f"--kubeconfig={kubeconfig}", "describe", *what]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    _, _, table = text.partition("\nEvents:\n")
    row = rf"^ +(Normal|Warning) +(\w+) +\S+ +{events.COMPONENT} +(.*)$"
    return {(kind, reason, message) for kind, reason, message in re.findall(row, table, re.M)}


def wanted(reasons: Iterable[Reason]) -> set[tuple[str, str, str]]:
    return {
        ("Normal" if reason in TRUE else "Warning", reason.value, MEANING[reason])
        for reason in reasons
    }


def tell(kubeconfig: Path, told: Iterable[events.Event]) -> None:
    """Send events as the controller does."""

    async def body() -> None:
        async with Client(config.load(kubeconfig)) as api:
            recorder = events.Recorder(api)
            waiting = list(told)
            for event in waiting:
                recorder.record(event)
            names = {event.about.name for event in waiting}
            async with event_loops.running(recorder.run()):
                while await sent(api, names) < len(waiting):  # noqa: ASYNC110 (`run` ends it)
                    await asyncio.sleep(0.1)
            assert recorder.dropped == 0

    event_loops.run(body())


async def sent(api: Client, names: set[str]) -> int:
    listed = await api.list(resources.EVENTS, "default")
    return sum(entry["involvedObject"]["name"] in names for entry in listed.items)


def test_each_reason_of_a_service(real_api: Path, name: str) -> None:
    async def created() -> dict[str, object]:
        async with Client(config.load(real_api)) as api:
            return await api.create(resources.SERVICES, api_builders.service(name), "default")

    facts = translate_service(event_loops.run(created()), builders.OWNERSHIP)
    conditions = [
        Condition(kind, reason in TRUE, reason, MEANING[reason]) for kind, reason in OF_SERVICES
    ]
    tell(real_api, [events.event_of(facts, condition) for condition in conditions])
    shown = described(real_api, "service", name)
    assert shown == wanted(reason for _, reason in OF_SERVICES)


def test_each_reason_of_a_pool(real_api: Path, name: str) -> None:
    body = {"metadata": {"name": name}, "spec": {"addresses": ["198.19.5.1"]}}
    tell_of(real_api, resources.ADDRESS_POOLS, body, OF_POOLS)
    assert described(real_api, "addresspool", name) == wanted(OF_POOLS)


def test_each_reason_of_a_policy(real_api: Path, name: str) -> None:
    body = {"metadata": {"name": name}, "spec": {"targetRefs": [{"name": name}]}}
    tell_of(real_api, resources.L4_POLICIES, body, OF_POLICIES)
    assert described(real_api, "l4policy", name) == wanted(OF_POLICIES)


def tell_of(real_api: Path, resource: Resource, body: Json, reasons: Iterable[Reason]) -> None:
    """Create an object and tell of it whatever there is to tell."""

    async def created() -> Json:
        async with Client(config.load(real_api)) as api:
            return await api.create(resource, body, "default" if resource.namespaced else None)

    obj = event_loops.run(created())
    told = [
        {"status": str(reason in TRUE), "reason": reason.value, "message": MEANING[reason]}
        for reason in reasons
    ]
    tell(real_api, [events.event_about(resource, obj, condition) for condition in told])
