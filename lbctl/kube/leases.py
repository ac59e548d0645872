"""Leases: who leads, and that an agent is alive.

The lock follows Kubernetes' own leader election: a holder renews `renewTime`; another takes over
when it saw no renewal for `leaseDurationSeconds` *by its own clock*, so that clocks of two machines
are never compared.
"""

import asyncio
import contextlib
import datetime
import logging
from dataclasses import dataclass

from lbctl.kube import client, resources
from lbctl.kube.objects import Json
from lbctl.model import errors
from lbctl.plan import times

log = logging.getLogger(__name__)


def _now() -> str:
    return times.render(datetime.datetime.now(tz=datetime.UTC))


async def heartbeat(
    api: client.Client, namespace: str, name: str, identity: str, period_s: float
) -> None:
    """Renew the Lease that says `identity` lives, every `period_s`, for ever.

    A failed renewal is logged and tried again at the next beat: readers judge by age.
    """
    while True:
        try:
            await _beat(api, namespace, name, identity, int(period_s * 4))
        except errors.LbctlError as error:
            log.warning("lease %s/%s not renewed: %s", namespace, name, error)
        await asyncio.sleep(period_s)


async def _beat(
    api: client.Client, namespace: str, name: str, identity: str, duration_s: int
) -> None:
    spec = {
        "holderIdentity": identity,
        "leaseDurationSeconds": duration_s,
        "renewTime": _now(),
    }
    try:
        await api.patch(resources.LEASES, name, {"spec": spec}, namespace)
    except errors.NotFound:
        body = {"metadata": {"name": name}, "spec": spec}
        await api.create(resources.LEASES, body, namespace)


@dataclass(frozen=True, slots=True)
class LockTimes:
    """Seconds: how long a lock outlives its holder, and how often it is renewed."""

    duration_s: float
    renew_s: float


class Lock:
    """A Lease held by one of several candidates."""

    def __init__(
        self, api: client.Client, place: tuple[str, str], identity: str, times: LockTimes
    ) -> None:
        self._api = api
        self._namespace, self._name = place
        self._identity = identity
        self._times = times
        self._seen_renewal = ""
        self._seen_at = 0.0
        self._valid_until = 0.0

    def held_for_s(self) -> float:
        """Return the seconds for which nobody else can take the lock; ≤ 0 when not held."""
        return self._valid_until - _monotonic()

    async def acquire(self) -> None:
        """Wait until the lock is ours."""
        while not await self._try():  # noqa: ASYNC110 (the event is on another machine)
            await asyncio.sleep(min(self._times.renew_s, 1.0))

    async def keep(self) -> None:
        """Renew until the lock is lost; returns then."""
        while True:
            await asyncio.sleep(self._times.renew_s)
            await self._try_until_lost()
            if self.held_for_s() <= 0:
                log.warning("lease %s/%s lost", self._namespace, self._name)
                return

    async def release(self) -> None:
        """Give the lock up now, so that the next candidate need not wait. Never raises."""
        if self.held_for_s() <= 0:
            return
        self._valid_until = 0.0
        patch = {"spec": {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}}
        try:
            await self._api.patch(resources.LEASES, self._name, patch, self._namespace)
        except errors.LbctlError as error:
            log.warning("lease %s/%s not released: %s", self._namespace, self._name, error)

    async def _try_until_lost(self) -> None:
        # A server that does not answer must not keep us from seeing that our time is over.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(self.held_for_s(), 0.0)):
                await self._try()

    async def _try(self) -> bool:
        started = _monotonic()
        try:
            lease = await self._read()
            if lease is not None and not self._may_take(lease):
                return False
            await self._write(lease)
        except errors.LbctlError as error:
            log.debug("lease %s/%s: %s", self._namespace, self._name, error)
            return False
        # Counted from before the write left: the server's copy cannot be older than that.
        self._valid_until = started + self._times.duration_s
        return True

    async def _read(self) -> Json | None:
        try:
            return await self._api.get(resources.LEASES, self._name, self._namespace)
        except errors.NotFound:
            return None

    def _may_take(self, lease: Json) -> bool:
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder in ("", self._identity):
            return True
        if spec.get("renewTime") != self._seen_renewal:
            self._seen_renewal, self._seen_at = spec.get("renewTime") or "", _monotonic()
        return _monotonic() - self._seen_at > float(spec.get("leaseDurationSeconds") or 1)

    async def _write(self, lease: Json | None) -> None:
        old = (lease or {}).get("spec") or {}
        ours = old.get("holderIdentity") == self._identity
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._times.duration_s),
            "acquireTime": old.get("acquireTime") if ours else _now(),
            "renewTime": _now(),
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (0 if ours else 1),
        }
        if lease is None:
            body: Json = {"metadata": {"name": self._name}, "spec": spec}
            await self._api.create(resources.LEASES, body, self._namespace)
            return
        meta = {"name": self._name, "resourceVersion": lease["metadata"]["resourceVersion"]}
        await self._api.replace(resources.LEASES, {"metadata": meta, "spec": spec}, self._namespace)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
