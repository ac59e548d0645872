"""A node's IPVS backend, as it lives in a guest kernel; what it is told comes as JSON.

The guest's kernel has nftables without any of its families, so the filter beside IPVS is one that
lets everything through; the real one is tested with packets on the machine's own kernel.
"""

import asyncio
import dataclasses
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.delta import Delta
from lbctl.model.policy import Limits
from lbctl_dataplane.backends.ipvs import backend as ipvs
from lbctl_dataplane.rules.frontend import Frontend, Member, Place
from lbctl_dataplane.rules.tables.elements import Element, Ends

Json = dict[str, Any]


class OpenFilter:
    """Keeps what it is told, and keeps nobody out."""

    def __init__(self) -> None:
        self._elements: dict[Element, Ends] = {}

    async def observe(self) -> dict[Element, Ends]:
        return dict(self._elements)

    async def change(self, change: Delta[Element, Ends]) -> None:
        self._elements |= change.upserts
        for element in change.deletes:
            self._elements.pop(element, None)


@dataclass(frozen=True, slots=True)
class Life:
    """The agent's part that programs, from its start to its end."""

    backend: ipvs.IpvsBackend
    beside: OpenFilter
    following: asyncio.Task[None]


_LIVES: list[Life] = []


async def begin(legs: list[str]) -> None:
    """Start anew, as an agent that knows nothing; what the kernel holds stays."""
    beside = OpenFilter()
    if _LIVES:
        beside = _LIVES[-1].beside
        _LIVES[-1].following.cancel()
    addresses = tuple(map(ipaddress.ip_address, legs))
    backend = ipvs.IpvsBackend("svc0", lambda: addresses, beside)
    known = asyncio.Event()
    _LIVES.append(Life(backend, beside, asyncio.create_task(backend.follow(known.set))))
    await known.wait()


async def legs() -> list[list[str]]:
    """Return the legs with their MAC addresses; none before something was programmed."""
    return [[str(leg.address), leg.mac] for leg in _LIVES[-1].backend.legs() or ()]


async def program(frontends: list[Json]) -> Json:
    """Return the outcome: what changed, and what is missing by virtual service."""
    outcome = await _LIVES[-1].backend.program([parse(entry) for entry in frontends])
    missing = {key: [str(entry) for entry in entries] for key, entries in outcome.missing.items()}
    return {"changed": outcome.changed, "missing": missing, "complaint": outcome.complaint}


def render(frontend: Frontend) -> Json:
    """Return a frontend as JSON; `parse` is the inverse."""
    place = frontend.place
    return {
        "key": frontend.key,
        "place": [str(place.vip), place.protocol, place.port],
        "members": [_render(member) for member in frontend.members],
        "lingering": [_render(member) for member in frontend.lingering],
        "source_ranges": list(frontend.source_ranges),
        "open_to_all": frontend.open_to_all,
        "affinity": frontend.affinity,
        "affinity_timeout_s": frontend.affinity_timeout_s,
        "algorithm": frontend.algorithm,
        "limits": dataclasses.astuple(frontend.limits),
    }


def parse(body: Mapping[str, Any]) -> Frontend:
    vip, protocol, port = body["place"]
    lists = {name: tuple(map(_parse, body[name])) for name in ("members", "lingering")}
    fields = {
        "place": Place(ipaddress.ip_address(vip), protocol, port),
        "source_ranges": tuple(body["source_ranges"]),
        "limits": Limits(*body["limits"]),
        **lists,
    }
    return Frontend(**{**body, **fields})


def _render(member: Member) -> list[Any]:
    return [str(member.address), member.port, member.weight]


def _parse(member: list[Any]) -> Member:
    address, port, weight = member
    return Member(ipaddress.ip_address(address), port, weight)
