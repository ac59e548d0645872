"""What the name server's tests share: records, decisions, an API server of one resource."""

import asyncio
import contextlib
import ipaddress
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web

from lbctl_dns import edns, frames, names, snapshot, table, wire, zone

Object = dict[str, Any]
ORIGIN = names.to_wire("lb.example")
SOA = zone.Soa(
    names.to_wire("ns1.lb.example"),
    names.to_wire("hostmaster.lb.example"),
    10800,
    3600,
    86400,
    30,
)
PATH = "/apis/lbctl.io/v1alpha1/l4virtualservices"
POOLS_PATH = "/apis/lbctl.io/v1alpha1/addresspools"
ZONES_PATH = "/apis/lbctl.io/v1alpha1/zones"


def sets(host: str, *texts: str, ttl_s: int = 5) -> tuple[zone.RecordSet, ...]:
    found = [ipaddress.ip_address(text) for text in texts]
    return zone.addresses(names.to_wire(host), ttl_s, found)


def own_zone(*fixed: zone.RecordSet) -> zone.Zone:
    return zone.Zone(ORIGIN, SOA, fixed)


def snapshot_of(*records: zone.RecordSet) -> bytes:
    """The content of a snapshot file."""
    return snapshot.render(b"".join(frames.piece(table.encode(one)) for one in records))


def table_of(*records: zone.RecordSet, loaded: bool = True) -> table.Table:
    """A table of one zone, its SOA included."""
    found = table.Table()
    found.loaded = loaded
    for one in table.encode_all([SOA.record_set(ORIGIN, 1), *records]):
        found.put(one)
    return found


def responder(*records: zone.RecordSet, loaded: bool = True) -> wire.Responder:
    return wire.Responder(table_of(*records, loaded=loaded), edns.Clerk(b"k" * 16))


def query(
    host: str, rtype: int = zone.A, *, flags: int = 0, rclass: int = 1, opt: bytes = b""
) -> bytes:
    counts = b"\0\x01\0\0\0\0" + (b"\0\x01" if opt else b"\0\0")
    name = b"".join(bytes((len(one),)) + one.encode() for one in host.split(".") if one) + b"\0"
    kind = rtype.to_bytes(2) + rclass.to_bytes(2)
    return b"\x12\x34" + flags.to_bytes(2) + counts + name + kind + opt


def decision(
    service: str,
    *vips: str | tuple[str, str],
    hosts: tuple[str, ...] | None = None,
    published: bool = True,
    phase: str = "Serving",
    created: str = "2026-11-21T12:00:00Z",
    grant: str = "",
    ports: dict[str, int] | None = None,
    no_data: bool = False,
) -> dict[str, Any]:
    """An L4VirtualService as the leader writes it, without what DNS never reads."""
    pairs = [(vip, "Current") if isinstance(vip, str) else vip for vip in vips]
    found = hosts if hosts is not None else (f"{service}.default.lb.example",)
    return {
        "metadata": {
            "name": f"default.{service}",
            "uid": f"uid-{service}",
            "creationTimestamp": created,
        },
        "spec": {
            "phase": phase,
            "vips": [
                {"address": address, "role": role, "allocation": {"uid": grant}}
                for address, role in pairs
            ],
            "service": {"namespace": "default", "name": service, "uid": f"uid-{service}"},
            "names": [
                {"host": one, "ttlSeconds": 5, "published": published, "noData": no_data}
                for one in found
            ],
            "listeners": [
                {"name": name, "protocol": "TCP", "port": port, "pool": "x"}
                for name, port in (ports or {"": 80}).items()
            ],
        },
    }


class Listed:
    """Objects of one kind, listed and watched; the n-th event has version n."""

    def __init__(self) -> None:
        self._objects: dict[str, Object] = {}
        self._history: list[tuple[str, Object]] = []
        self._moved = asyncio.Condition()
        self.told_at = 0.0
        """When the last watch event left, by the monotonic clock."""

    async def put(self, obj: Object) -> None:
        kind = "MODIFIED" if obj["metadata"]["name"] in self._objects else "ADDED"
        await self._record(kind, obj)
        self._objects[obj["metadata"]["name"]] = obj

    async def delete(self, name: str) -> None:
        await self._record("DELETED", json.loads(json.dumps(self._objects.pop(name))))

    async def _record(self, kind: str, obj: Object) -> None:
        async with self._moved:
            obj["metadata"]["resourceVersion"] = str(len(self._history) + 1)
            self._history.append((kind, obj))
            self._moved.notify_all()

    async def get(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request)
        listed = {
            "metadata": {"resourceVersion": str(len(self._history))},
            "items": list(self._objects.values()),
        }
        return web.json_response(listed)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        seen = int(request.query["resourceVersion"])
        with contextlib.suppress(ConnectionError):
            while True:
                for kind, obj in self._history[seen:]:
                    line = json.dumps({"type": kind, "object": obj})
                    self.told_at = time.monotonic()
                    await response.write(line.encode() + b"\n")
                    seen += 1
                async with self._moved:
                    if len(self._history) <= seen:
                        await self._moved.wait()
        return response


class NamesApi:
    """An API server that lists and watches L4VirtualServices, and can be stopped and started.

    It lists AddressPools, too; of those nothing changes. It has Zones only where a test says so.
    """

    def __init__(self, zones: Listed | None = None) -> None:
        self._decisions = Listed()
        self._zones = zones
        self._runner: web.AppRunner | None = None
        self.port = 0
        self.pools: list[Object] = []

    @property
    def told_at(self) -> float:
        """Return when the last event left, by the monotonic clock."""
        return self._decisions.told_at

    async def start(self) -> None:
        application = web.Application()
        application.router.add_get(PATH, self._decisions.get)
        application.router.add_get(POOLS_PATH, self._get_pools)
        if self._zones is not None:
            application.router.add_get(ZONES_PATH, self._zones.get)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def put(self, obj: Object) -> None:
        await self._decisions.put(obj)

    async def delete(self, name: str) -> None:
        await self._decisions.delete(name)

    async def _get_pools(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": self.pools})
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        return response


def run(scenario: Callable[[NamesApi], Coroutine[Any, Any, None]], api: NamesApi) -> None:
    """Run a scenario with an API server on its loop; what blocks goes to threads."""

    async def body() -> None:
        await api.start()
        try:
            await scenario(api)
        finally:
            await api.stop()

    asyncio.run(body())
