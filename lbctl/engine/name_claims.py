"""Which Service has which host name: kept from the caches, asked by each pass.

It follows Services, namespaces and decisions; whom a change concerns is looked at again.
"""

from collections.abc import Callable

from lbctl.engine import caches
from lbctl.engine.caches import Caches
from lbctl.engine.snapshot import Snapshots
from lbctl.kube.store import Change
from lbctl.plan.hostnames import NameRegister, Rank, wanted_names


class NameClaims:
    """The register of names beside the caches."""

    def __init__(self, known: Caches, snapshots: Snapshots, look_at: Callable[[str], None]) -> None:
        self._caches = known
        self._snapshots = snapshots
        self._look_at = look_at
        self._register = NameRegister()

    def listen(self) -> None:
        """Follow the caches from now on, starting with all that they hold."""
        self._caches.services.subscribe(self._service_changed)
        self._caches.namespaces.subscribe(self._namespace_changed)
        self._caches.decisions.subscribe(self._decision_changed)

    def everything(self) -> None:
        """Enter every Service anew: the settings say something else now."""
        for obj in self._caches.services:
            self._enter(caches.keys_of_service(obj)[0])

    def rivals(self, key: str) -> dict[str, str]:
        """Return who has each name that a Service asks for and may not have now."""
        own = self._caches.decisions.indexed(key)
        answered = caches.hosts_answered(own[0]) if own else frozenset()
        return self._register.rivals(key, answered, self._answering)

    def _answering(self, host: str) -> frozenset[str]:
        found = self._caches.decisions.indexed(caches.HOST_INDEX + host)
        return frozenset(caches.keys_of_decision(obj)[0] for obj in found)

    def _service_changed(self, change: Change) -> None:
        self._enter(change.key)

    def _namespace_changed(self, change: Change) -> None:
        for key in self._caches.keys_of_relabelled(change):
            self._enter(key)

    def _decision_changed(self, change: Change) -> None:
        before, now = (caches.hosts_answered(obj or {}) for obj in (change.old, change.new))
        for host in before - now:
            for key in self._register.asking(host):
                self._look_at(key)

    def _enter(self, key: str) -> None:
        service, labels = self._snapshots.service(key)
        rank: Rank = ("", "")
        hosts: tuple[str, ...] = ()
        if service is not None and service.ours and not service.deleting:
            rank = (service.created, service.uid)
            hosts = wanted_names(self._snapshots.rules.naming, service, labels).hosts
        for other in self._register.enter(key, rank, hosts):
            self._look_at(other)
