"""Events for `kubectl describe`: at a bounded pace, never in the way of a write that matters."""

import asyncio
import datetime
import logging
import secrets
from dataclasses import dataclass

from lbctl.kube import client, resources
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


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """One event about one Service."""

    namespace: str
    name: str
    uid: str
    warning: bool
    reason: str
    message: str


def event_of(service: ServiceFacts, condition: Condition) -> ServiceEvent:
    """Return the event that tells of a condition's change."""
    return ServiceEvent(
        service.namespace,
        service.name,
        service.uid,
        warning=not condition.true,
        reason=condition.reason.value,
        message=condition.message,
    )


class Recorder:
    """Takes events at any pace and sends them at `PER_SECOND`."""

    def __init__(self, api: client.Client) -> None:
        self._api = api
        self._waiting: asyncio.Queue[ServiceEvent] = asyncio.Queue()
        self.normal = True
        """Send Normal events too; Warning events are always sent."""
        self.dropped = 0
        """Events that were never sent although they should have been."""

    def record(self, event: ServiceEvent) -> None:
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
                await self._api.create(resources.EVENTS, _render(event), event.namespace)
            except errors.LbctlError as error:
                self.dropped += 1
                log.debug("event %s not sent: %s", event.reason, error)
            await asyncio.sleep(1 / PER_SECOND)


def _render(event: ServiceEvent) -> dict[str, object]:
    now = times.render_seconds(datetime.datetime.now(tz=datetime.UTC))
    return {
        "metadata": {
            "name": f"{event.name}.{secrets.token_hex(8)}",
            "namespace": event.namespace,
        },
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "namespace": event.namespace,
            "name": event.name,
            "uid": event.uid,
        },
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "message": event.message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
