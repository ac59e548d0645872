"""Events for `kubectl describe`: at a bounded pace, never in the way of a write that matters."""

import asyncio
import datetime
import logging
import secrets
from dataclasses import dataclass

from lbctl.kube import client, resources
from lbctl.kube.objects import Json
from lbctl.kube.resources import Resource
from lbctl.model import errors
from lbctl.model.reasons import Condition
from lbctl.plan import times
from lbctl.translate.service import ServiceFacts

log = logging.getLogger(__name__)

PER_SECOND = 20
"""A burst of Services makes one event each; at this pace they cost the API server little."""
KEPT = 2000
"""Events waiting; the oldest are dropped past that."""
COMPONENT = "lbctl-controller"


CLUSTER_NAMESPACE = "default"
"""Where the API server wants events about objects that are in no namespace."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that an event is about."""

    resource: Resource
    namespace: str
    """Empty: in none."""
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Event:
    """One event about one object."""

    about: Subject
    warning: bool
    reason: str
    message: str


def event_of(service: ServiceFacts, condition: Condition) -> Event:
    """Return the event that tells of a change of a Service's condition."""
    return Event(
        Subject(resources.SERVICES, service.namespace, service.name, service.uid),
        warning=not condition.true,
        reason=condition.reason.value,
        message=condition.message,
    )


def event_about(resource: Resource, obj: Json, condition: Json) -> Event:
    """Return the event that tells of a change of the condition of an object of ours."""
    meta = obj["metadata"]
    return Event(
        Subject(resource, meta.get("namespace", ""), meta["name"], meta["uid"]),
        warning=condition["status"] != "True",
        reason=condition["reason"],
        message=condition["message"],
    )


class Recorder:
    """Takes events at any pace and sends them at `PER_SECOND`."""

    def __init__(self, api: client.Client) -> None:
        self._api = api
        self._waiting: asyncio.Queue[Event] = asyncio.Queue()
        self.normal = True
        """Send Normal events too; Warning events are always sent."""
        self.dropped = 0
        """Events that were never sent although they should have been."""

    def record(self, event: Event) -> None:
        """Queue one event; returns at once."""
        if not (event.warning or self.normal):
            return
        if self._waiting.qsize() >= KEPT:
            self._waiting.get_nowait()
            self.dropped += 1
        self._waiting.put_nowait(event)

    async def run(self) -> None:
        """Send what is queued, for ever; an event that can't be sent is logged and dropped."""
        while True:
            event = await self._waiting.get()
            try:
                namespace = event.about.namespace or CLUSTER_NAMESPACE
                await self._api.create(resources.EVENTS, _render(event), namespace)
            except errors.LbctlError as error:
                self.dropped += 1
                log.debug("event %s not sent: %s", event.reason, error)
            await asyncio.sleep(1 / PER_SECOND)


def _render(event: Event) -> dict[str, object]:
    now = times.render_seconds(datetime.datetime.now(tz=datetime.UTC))
    about = event.about
    involved = {
        "apiVersion": about.resource.api_version,
        "kind": about.resource.kind,
        "name": about.name,
        "uid": about.uid,
    }
    return {
        "metadata": {
            "name": f"{about.name}.{secrets.token_hex(8)}",
            "namespace": about.namespace or CLUSTER_NAMESPACE,
        },
        "involvedObject": involved | ({"namespace": about.namespace} if about.namespace else {}),
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "message": event.message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
