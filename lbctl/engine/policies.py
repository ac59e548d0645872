"""Keep the status of L4Policies in step: whether they count, and what backends can't do."""

import datetime
from collections.abc import Iterable

from lbctl.engine import events, objects
from lbctl.engine.caches import Caches
from lbctl.engine.snapshot import Snapshots
from lbctl.kube import client, resources
from lbctl.kube.objects import Json
from lbctl.kube.store import Change
from lbctl.plan import policy_status
from lbctl.plan.objects import ObjectStep


class PolicyObjects:
    """Writes the status of L4Policies while this process leads.

    Decisions look at one thing in it: the last good spec of a policy that was edited badly.
    """

    def __init__(
        self,
        api: client.Client,
        known: Caches,
        snapshots: Snapshots,
        recorder: events.Recorder,
    ) -> None:
        self._caches = known
        self._snapshots = snapshots
        self._objects = objects.Objects(
            api,
            resources.L4_POLICIES,
            known.policies,
            self._plan,
            lambda obj, told: recorder.record(events.event_about(resources.L4_POLICIES, obj, told)),
        )

    def listen(self) -> None:
        """Note every change of policies, of who they are for and of what nodes can do."""
        self._caches.policies.subscribe(lambda change: self.changed())
        self._caches.services.subscribe(self._service_changed)
        self._caches.namespaces.subscribe(lambda change: self.changed())
        self._caches.serving_nodes.subscribe(self._node_changed)

    def changed(self) -> None:
        """Look at all policies soon."""
        self._objects.changed()

    async def run(self) -> None:
        """Write what differs, for ever."""
        await self._objects.run(delay_s=objects.GATHER_S)

    def _service_changed(self, change: Change) -> None:
        if self._caches.policies.indexed(change.key):
            self.changed()

    def _node_changed(self, change: Change) -> None:
        before, now = (_backend(obj) for obj in (change.old, change.new))
        if before != now:
            self.changed()

    def _plan(self) -> Iterable[ObjectStep]:
        return policy_status.plan_policies(
            tuple(self._caches.policies),
            self._serves,
            self._snapshots.agents,
            datetime.datetime.now(tz=datetime.UTC),
        )

    def _serves(self, key: str) -> bool:
        service, _ = self._snapshots.service(key)
        return service is not None and service.ours and not service.deleting


def _backend(serving_node: Json | None) -> str:
    return str(((serving_node or {}).get("spec") or {}).get("backend") or "")
