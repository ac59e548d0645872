"""Report to the cluster: the agent's ServingNode, written conditionally and only on change."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from lbctl.kube import client, resources, retry
from lbctl.kube.objects import Json
from lbctl.model import errors
from lbctl.translate.failing import FailingMember, render_failing
from lbctl.translate.serving_nodes import REMOTE_BY_NODE_PORTS
from lbctl_dataplane import serving_nodes
from lbctl_dataplane.backends.choice import Choice
from lbctl_dataplane.backends.port import Leg
from lbctl_dataplane.rules.router.legs import Forwarding

log = logging.getLogger(__name__)

MAX_EXCEPTIONS = 100
"""What the CRD's schema takes."""
MAX_FAILING = 500
"""The same of members that fail their monitor."""
PAUSE_S = 0.1
"""Least time between two writes: a burst of decisions costs few."""
REFUSED_PAUSE_S = 5.0
UNAWAITED_S = 2.0
"""A report that nobody waits for is written after so long, with all that came meanwhile."""


@dataclass(frozen=True, slots=True, order=True)
class Exemption:
    """One decision that is not programmed although the acknowledged version covers it."""

    key: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What one pass achieved."""

    decisions: int
    slices: int
    exceptions: tuple[Exemption, ...] = ()
    all_failing: bool = False
    message: str = ""
    failing: tuple[FailingMember, ...] = ()
    """Members that fail their health monitor; sorted, `MAX_FAILING` are told."""


def capped(report: Report, spec_versions: Mapping[str, int], limit: int = MAX_EXCEPTIONS) -> Report:
    """Return a report with at most `limit` exceptions that is still true.

    The oldest are named; the acknowledged version ends before the first that is not.
    """
    if len(report.exceptions) <= limit:
        return replace(report, exceptions=tuple(sorted(report.exceptions)))
    by_age = sorted(report.exceptions, key=lambda entry: (spec_versions.get(entry.key, 0), entry))
    first_left_out = spec_versions.get(by_age[limit].key, 0)
    return replace(
        report,
        decisions=min(report.decisions, max(first_left_out - 1, 0)),
        exceptions=tuple(sorted(by_age[:limit])),
    )


class ServingNodes(Protocol):
    """The calls of `lbctl.kube.client.Client` that are needed here."""

    async def get(
        self, resource: resources.Resource, name: str, namespace: str | None = None
    ) -> Json:
        """Return one object."""
        ...

    async def create(
        self, resource: resources.Resource, body: Json, namespace: str | None = None
    ) -> Json:
        """Create one object."""
        ...

    async def patch(
        self,
        resource: resources.Resource,
        name: str,
        body: Json,
        namespace: str | None = None,
        *,
        sub: str = "",
        kind: str = client.MERGE_PATCH,
    ) -> Json:
        """Patch one object or its subresource."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who reports."""

    node: str
    role: str
    backend: Choice
    relays: bool = False
    """It serves members on nodes without an agent."""


class Place(Protocol):
    """The calls of an agent's role that are needed here."""

    def legs(self) -> tuple[Leg, ...] | None:
        """Return where the fabric may send VIP traffic; None while that is not known."""
        ...

    def excluded(self) -> str:
        """Return why the fabric should spare this machine; empty: it need not."""
        ...

    def forwarding(self) -> Forwarding | None:
        """Return how it passes packets on to its peers; None where it does not."""
        ...


class Reporter:
    """Sole writer of one ServingNode; the newest report wins, older ones are skipped."""

    def __init__(self, api: ServingNodes, identity: Identity, place: Place) -> None:
        self._api = api
        self._identity = identity
        self._place = place
        self._wanted: Report | None = None
        self._written: Report | None = None
        self._written_spec: Json | None = None
        self._version = ""
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def want(self, report: Report) -> None:
        """Report this as soon as possible."""
        self._wanted = report
        self._news.set()

    def want_sometime(self, report: Report) -> None:
        """Report this when something else is reported, or after a while: nobody waits for it."""
        self._wanted = report
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(UNAWAITED_S, self._news.set)

    def last_wanted(self) -> Report | None:
        """Return the newest report, None before the first."""
        return self._wanted

    def place_differs(self) -> bool:
        """Tell whether legs or exclusion are others than the cluster was told."""
        legs = self._place.legs()
        return legs is not None and self._spec(legs) != self._written_spec

    async def run(self) -> None:
        """Write reports for ever; the object exists from the start on."""
        while True:
            async for attempt in retry.forever():
                with attempt:
                    await self._write_guarded()
            await asyncio.sleep(PAUSE_S)
            await self._news.wait()

    async def _write_guarded(self) -> None:
        try:
            await self._write()
        except errors.Conflict:
            self._version = ""  # read again at the next attempt
            raise
        except (errors.NotFound, errors.AlreadyExists) as error:
            self._version = ""
            raise errors.Conflict(str(error)) from error
        except errors.Permanent as error:
            log.error("ServingNode %s not written: %s", self._identity.node, error)
            await asyncio.sleep(REFUSED_PAUSE_S)
            raise errors.Unavailable(str(error)) from error

    async def _write(self) -> None:
        self._news.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        legs = self._place.legs()
        if not self._version:
            await self._find(self._spec(legs or ()))
        spec = self._spec(legs) if legs is not None else self._written_spec
        if spec != self._written_spec:
            self._take(await self._patch({"spec": spec}))
            self._written_spec = spec
        report = self._wanted
        if report is not None and report != self._written:
            self._take(await self._patch({"status": render(report)}, sub="status"))
            self._written = report

    async def _find(self, spec: Json) -> None:
        self._written = None
        try:
            found = await self._api.get(resources.SERVING_NODES, self._identity.node)
        except errors.NotFound:
            body = {"metadata": {"name": self._identity.node}, "spec": spec}
            found = await self._api.create(resources.SERVING_NODES, body)
        self._written_spec = found.get("spec")
        self._take(found)

    async def _patch(self, body: Json, sub: str = "") -> Json:
        conditional = {"metadata": {"resourceVersion": self._version}, **body}
        return await self._api.patch(
            resources.SERVING_NODES, self._identity.node, conditional, sub=sub
        )

    def _take(self, obj: Json) -> None:
        self._version = obj["metadata"]["resourceVersion"]

    def _spec(self, addresses: Iterable[Leg]) -> Json:
        legs = [
            {"family": f"IPv{leg.address.version}", "address": str(leg.address), "mac": leg.mac}
            for leg in addresses
        ]
        return {
            "role": self._identity.role,
            "backend": self._identity.backend.name,
            "backendReason": self._identity.backend.reason,
            "legs": legs,
            "excluded": self._place.excluded(),
            **serving_nodes.render_forwarding(self._place.forwarding()),
            # Said in any case: a merge patch would leave what an agent before said.
            "remoteMembers": REMOTE_BY_NODE_PORTS if self._identity.relays else "never",
        }


def render(report: Report) -> Json:
    """Return the `status` of a ServingNode."""
    return {
        "decisions": str(report.decisions),
        "slices": str(report.slices),
        "allFailing": report.all_failing,
        "message": report.message,
        "exceptions": _rendered(report.exceptions),
        "failing": [render_failing(member) for member in report.failing[:MAX_FAILING]],
    }


def _rendered(exceptions: Iterable[Exemption]) -> list[Json]:
    return [
        {"key": entry.key, "reason": entry.reason, "message": entry.message} for entry in exceptions
    ]
