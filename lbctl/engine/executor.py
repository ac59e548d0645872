"""Do the steps of a plan: each is one conditional write, its answer goes into the cache."""

import dataclasses
import datetime
import logging

from lbctl.engine import events
from lbctl.engine.caches import Caches
from lbctl.kube import client, resources
from lbctl.kube.objects import Json
from lbctl.model import errors
from lbctl.model.allocation import Allocation, render_allocation
from lbctl.model.reasons import (
    EXPLAINED_ONLY,
    LEAVING,
    OF_POLICIES,
    OF_POOLS,
    QUIET,
    Condition,
    ConditionType,
    Reason,
)
from lbctl.model.virtual_service import Address, render_virtual_service
from lbctl.plan import conditions, records, steps, times
from lbctl.settings import ControllerSettings
from lbctl.translate.service import FINALIZER, PortError, ServiceFacts

log = logging.getLogger(__name__)

TOLD = {
    ConditionType.ADDRESS_ALLOCATED: (
        frozenset(Reason) - QUIET - LEAVING - EXPLAINED_ONLY - OF_POOLS - OF_POLICIES
    ),
    ConditionType.DATAPLANE_READY: frozenset(
        {
            Reason.NO_AGENT,
            Reason.NO_BACKEND_PORT,
            Reason.NO_NODE_PORT,
            Reason.ENDPOINTS_WITHOUT_NODE,
            Reason.ENDPOINTS_ARE_NAMES,
            Reason.PROTOCOL_NOT_SERVED,
            Reason.SOURCE_RANGE_MALFORMED,
            Reason.POLICY_REFUSED,
            Reason.TRAFFIC_OFF,
            Reason.WEIGHTS_ZERO,
            Reason.PROGRAMMING_FAILED,
            Reason.WAITING_FOR_AGENT,
        }
    ),
    ConditionType.FABRIC_PROGRAMMED: frozenset(
        {Reason.NO_ROUTER, Reason.PROGRAMMING_FAILED, Reason.WAITING_FOR_ROUTER}
    ),
    ConditionType.NAME_REGISTERED: frozenset(
        {
            Reason.HOSTNAME_TAKEN,
            Reason.HOSTNAME_MALFORMED,
            Reason.HOSTNAME_NOT_IN_ZONE,
            Reason.HOSTNAME_NOT_ALLOWED,
            Reason.NAME_SETTING_MALFORMED,
        }
    ),
}
"""Which changes of a condition are worth an event; scaling up and down is not.

What is on its way gets to a condition, and so to an event, only when it lasts.
"""


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
            case steps.ChangeAllocation(allocation):
                await self._change_allocation(allocation)
            case steps.ReleaseAllocation(allocation, None):
                version = allocation.resource_version
                await self._delete(
                    resources.IP_ALLOCATIONS, allocation.name, allocation.uid, version
                )
            case steps.ReleaseAllocation(_, kept) if kept is not None:
                await self._change_allocation(kept)
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
        bound_at = step.allocation.bound_at or times.render(_now())
        allocation = dataclasses.replace(step.allocation, bound_at=bound_at)
        if allocation.resource_version:
            await self._change_allocation(allocation)
            return
        body = render_allocation(allocation)
        try:
            answer = await self._api.create(resources.IP_ALLOCATIONS, body)
        except errors.AlreadyExists:
            # Another writer was first: learn who, so that the next pass chooses another address.
            answer = await self._api.get(resources.IP_ALLOCATIONS, allocation.name)
        self._caches.allocations.wrote(answer)

    async def _change_allocation(self, allocation: Allocation) -> None:
        answer = await self._api.replace(resources.IP_ALLOCATIONS, render_allocation(allocation))
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
        ingress = [_render_ingress(address, service) for address in step.ingress]
        status: Json = {
            "conditions": [_render_condition(entry, service, now) for entry in step.conditions]
        }
        if ingress or service.ingress:
            status["loadBalancer"] = {"ingress": ingress}
        patch = _conditional(service, status)
        if step.finalizes:
            patch["metadata"]["finalizers"] = [FINALIZER]  # /status takes metadata, too
        await self._patch_service(service, patch, "status")
        for condition in step.conditions:
            if _is_news(condition, service):
                self._recorder.record(events.event_of(service, condition))
        self._tell_unknown_annotations(service)

    def _tell_unknown_annotations(self, service: ServiceFacts) -> None:
        note = conditions.unknown_annotations(service)
        if note and not any(entry.message.endswith(note) for entry in service.conditions):
            told = Condition(
                ConditionType.ADDRESS_ALLOCATED, False, Reason.UNKNOWN_ANNOTATION, note
            )
            self._recorder.record(events.event_of(service, told))

    async def _clear_service_status(self, service: ServiceFacts) -> None:
        gone = [{"type": entry.type, "$patch": "delete"} for entry in service.conditions]
        status: Json = {"conditions": gone}
        if service.ingress:
            status["loadBalancer"] = None
        await self._patch_service(service, _conditional(service, status), "status")

    async def _delete(
        self, resource: resources.Resource, name: str, uid: str, version: str = ""
    ) -> None:
        try:
            await self._api.delete(resource, name, uid=uid, resource_version=version)
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


def _render_ingress(address: Address, service: ServiceFacts) -> Json:
    entry: Json = {"ip": str(address), "ipMode": "VIP"}
    if service.port_errors:
        entry["ports"] = [_render_port(port) for port in service.port_errors]
    return entry


def _render_port(port: PortError) -> Json:
    entry: Json = {"port": port.port, "protocol": port.protocol}
    return {**entry, "error": port.error} if port.error else entry


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
