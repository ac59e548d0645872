"""What caches can't say for certain, asked of the API server itself before anything is done by it.

Another writer may have acted on what is true now while our watches lag: the last leader, or one
that wrongly believes it leads. What costs somebody an address is not decided on hearsay.
"""

from lbctl.engine.caches import Caches
from lbctl.kube import client, resources
from lbctl.kube.objects import Json, metadata, uid_of
from lbctl.model import errors, names
from lbctl.model.allocation import AllocationState
from lbctl.model.virtual_service import Address, Phase
from lbctl.plan import order, steps
from lbctl.plan.view import View


class Doubts:
    """Asks, and puts the answers into the caches."""

    def __init__(self, api: client.Client, known: Caches) -> None:
        self._api = api
        self._caches = known

    async def learns(self, view: View, asked: set[str]) -> bool:
        """Ask about addresses that are out there for a Service and of which no cache knows whose.

        Another writer may have given them; each is asked about once in a pass.
        """
        unknown = [
            name
            for name in map(names.allocation_name, _out_there(view))
            if name not in asked and self._caches.allocations.get(name) is None
        ]
        for name in unknown:
            asked.add(name)
            try:
                self._caches.allocations.wrote(await self._api.get(resources.IP_ALLOCATIONS, name))
            except errors.NotFound:
                continue
        return bool(unknown)

    async def is_outdated(self, key: str, view: View) -> bool:
        """Ask the server itself before anything is taken away from a Service or for its sake.

        What the caches say may be old: another writer may have acted on what is true now.
        """
        obj = await self._live_service(key)
        service = view.service
        if service is None and (obj is None or uid_of(obj) not in _uids(view)):
            return False
        if obj is None:
            raise errors.Unavailable(f"Service {key} is gone but the watch has not said so yet")
        if service is not None and service.resource_version == metadata(obj)["resourceVersion"]:
            return False
        self._caches.services.wrote(obj)
        if self._caches.services.get(key) is None:
            raise errors.Unavailable(f"Service {key} exists but the watch has not shown it yet")
        return True

    async def _live_service(self, key: str) -> Json | None:
        namespace, name = key.split("/")
        try:
            return await self._api.get(resources.SERVICES, name, namespace)
        except errors.NotFound:
            return None


def _out_there(view: View) -> set[Address]:
    """Return the addresses that a Service of ours shows or that are decided for it."""
    service = view.service
    if service is None or not service.ours or service.deleting:
        return set()
    found = set(service.ingress)
    if view.decision is not None and view.decision.virtual_service.service.uid == service.uid:
        found |= {vip.address for vip in view.decision.virtual_service.vips}
    return found - {entry.address for entry in view.allocations}


def takes_away(view: View, plan: order.Plan) -> bool:
    """Tell whether a plan takes anything away from a Service that is not going for certain."""
    if view.service is not None and view.service.deleting:
        return False
    return any(_is_taking(step) for step in plan.steps)


def _is_taking(step: steps.Step) -> bool:
    match step:
        case steps.ReleaseAllocation(allocation):
            return allocation.state is not AllocationState.RESERVED
        case steps.WriteDecision(wanted):
            return wanted.phase is not Phase.SERVING
        case steps.DeleteDecision():
            return True
        case _:
            return False


def _uids(view: View) -> set[str]:
    held = {holder.service.uid for entry in view.allocations for holder in entry.holders}
    if view.decision is not None:
        held.add(view.decision.virtual_service.service.uid)
    return held
