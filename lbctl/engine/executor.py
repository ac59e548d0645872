"""Do the steps of a plan: each is one conditional write, its answer goes into the cache."""

import datetime
import logging

from lbctl.engine import events
from lbctl.engine.caches import Caches
from lbctl.kube import client, resources
from lbctl.kube.objects import Json
from lbctl.model import errors
from lbctl.model.allocation import render_allocation
from lbctl.model.reasons import Condition, ConditionType, Reason
from lbctl.model.virtual_service import render_virtual_service
from lbctl.plan import records, steps, times
from lbctl.settings import ControllerSettings
from lbctl.translate.service import FINALIZER, ServiceFacts

log = logging.getLogger(__name__)

TOLD = {
    ConditionType.ADDRESS_ALLOCATED: frozenset(Reason),
    ConditionType.DATAPLANE_READY: frozenset(
        {Reason.NO_AGENT, Reason.NO_BACKEND_PORT, Reason.PROGRAMMING_FAILED}
    ),
    ConditionType.FABRIC_PROGRAMMED: frozenset({Reason.NO_ROUTER, Reason.PROGRAMMING_FAILED}),
}
"""Which changes of a condition are worth an event; scaling up and down is not."""


class Executor:
    """Turns steps into API calls under the controller's identity."""

    def __init__(
        self,
        api: client.Client,
        caches: Caches,
        recorder: events.Recorder,
        fabric_names: ControllerSettings,
    ) -> None:
        self._api = api
        self._caches = caches
        self._recorder = recorder
        self.fabric_names = fabric_names
        """Tenant, group and routing context that records carry."""

    async def execute(self, step: steps.Step) -> None:
        """Do one step. Raises Retryable or Permanent; what is done already counts as done."""
        match step:
            case steps.AddFinalizer(service):
                await self._patch_service(service, {"metadata": {"finalizers": [FINALIZER]}})
            case steps.RemoveFinalizer(service):
                removed = {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
                await self._patch_service(service, removed)
            case steps.WriteServiceStatus():
                await self._write_service_status(step)
            case steps.ClearServiceStatus(service):
                await self._clear_service_status(service)
            case _:
                await self._execute_on_ours(step)

    async def _execute_on_ours(self, step: steps.Step) -> None:
        match step:
            case steps.CreateAllocation():
                await self._create_allocation(step)
            case steps.ReleaseAllocation(allocation):
                await self._delete(resources.IP_ALLOCATIONS, allocation.name, allocation.uid)
            case steps.WriteDecision():
                await self._write_decision(step)
            case steps.DeleteDecision(key, uid):
                await self._delete(resources.L4_VIRTUAL_SERVICES, key, uid)
            case steps.WriteDecisionStatus():
                await self._write_decision_status(step)

    async def _patch_service(self, service: ServiceFacts, patch: Json, sub: str = "") -> None:
        try:
            answer = await self._api.patch(
                resources.SERVICES,
                service.name,
                patch,
                service.namespace,
                sub=sub,
                kind=client.STRATEGIC_MERGE_PATCH,
            )
        except errors.NotFound:
            return  # gone meanwhile: the watch will say so
        self._caches.services.wrote(answer)

    async def _create_allocation(self, step: steps.CreateAllocation) -> None:
        allocation = step.allocation
        body = render_allocation(allocation, times.render(_now()))
        try:
            answer = await self._api.create(resources.IP_ALLOCATIONS, body)
        except errors.AlreadyExists:
            # Another writer was first: learn who, so that the next pass chooses another address.
            answer = await self._api.get(resources.IP_ALLOCATIONS, allocation.name)
        self._caches.allocations.wrote(answer)

    async def _write_decision(self, step: steps.WriteDecision) -> None:
        wanted = step.wanted
        body: Json = {"metadata": {"name": wanted.key}, "spec": render_virtual_service(wanted)}
        if step.replaces:
            body["metadata"]["resourceVersion"] = step.replaces
            answer = await self._api.replace(resources.L4_VIRTUAL_SERVICES, body)
        else:
            key = records.log_key(wanted.service.namespace, wanted.service.name)
            for message in records.birth_records(wanted, self._context()):
                log.info(message, extra={"key": key})
            answer = await self._create_decision(wanted.key, body)
        self._caches.decisions.wrote(answer)

    def _context(self) -> records.Context:
        names = self.fabric_names
        return records.Context(names.tenant_name, names.service_engine_group_name, names.vrf_name)

    async def _create_decision(self, key: str, body: Json) -> Json:
        try:
            return await self._api.create(resources.L4_VIRTUAL_SERVICES, body)
        except errors.AlreadyExists:
            return await self._api.get(resources.L4_VIRTUAL_SERVICES, key)

    async def _write_decision_status(self, step: steps.WriteDecisionStatus) -> None:
        status = step.status
        log.info(
            "%s %s, members %s/%s",
            status.state,
            status.reason,
            status.members_up,
            status.members_total,
            extra={"key": records.log_key(*step.key.split(".", 1))},
        )
        body = {
            "status": {
                "state": status.state,
                "reason": status.reason,
                "membersUp": status.members_up,
                "membersTotal": status.members_total,
                "members": f"{status.members_up}/{status.members_total}",
                "specResourceVersion": str(status.spec_version),
                "observedGeneration": status.generation,
                "vip": status.vip,
                "host": status.host,
            }
        }
        try:
            answer = await self._api.patch(
                resources.L4_VIRTUAL_SERVICES, step.key, body, sub="status"
            )
        except errors.NotFound:
            return
        self._caches.decisions.wrote(answer)

    async def _write_service_status(self, step: steps.WriteServiceStatus) -> None:
        service = step.service
        now = times.render_seconds(_now())
        ingress = [{"ip": str(address), "ipMode": "VIP"} for address in step.ingress]
        status: Json = {
            "conditions": [_render_condition(entry, service, now) for entry in step.conditions]
        }
        if ingress or service.ingress:
            status["loadBalancer"] = {"ingress": ingress}
        await self._patch_service(service, _conditional(service, status), "status")
        for condition in step.conditions:
            if _is_news(condition, service):
                self._recorder.record(events.event_of(service, condition))

    async def _clear_service_status(self, service: ServiceFacts) -> None:
        gone = [{"type": entry.type, "$patch": "delete"} for entry in service.conditions]
        status: Json = {"conditions": gone}
        if service.ingress:
            status["loadBalancer"] = None
        await self._patch_service(service, _conditional(service, status), "status")

    async def _delete(self, resource: resources.Resource, name: str, uid: str) -> None:
        try:
            await self._api.delete(resource, name, uid=uid)
        except errors.NotFound:
            return


def _conditional(service: ServiceFacts, status: Json) -> Json:
    return {"metadata": {"resourceVersion": service.resource_version}, "status": status}


def _now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.UTC)


def _is_news(condition: Condition, service: ServiceFacts) -> bool:
    if condition.reason not in TOLD.get(condition.type, frozenset()):
        return False
    return all(
        (entry.true, entry.reason) != (condition.true, condition.reason.value)
        for entry in service.conditions
        if entry.type == condition.type.value
    )


def _render_condition(condition: Condition, service: ServiceFacts, now: str) -> Json:
    """Return a condition; its transition time moves only when its status does."""
    since = next(
        (
            entry.since
            for entry in service.conditions
            if entry.type == condition.type.value and entry.true == condition.true
        ),
        now,
    )
    return {
        "type": condition.type.value,
        "status": "True" if condition.true else "False",
        "reason": condition.reason.value,
        "message": condition.message,
        "lastTransitionTime": since or now,
    }
