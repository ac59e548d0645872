"""From L4VirtualService objects to the names they publish. Pure.

The leader decides what is published; here is only read which names there are, their addresses,
and its named ports; `publications` makes answers of it.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl_dns import names, zone

Json = Mapping[str, Any]

_READ = ("phase", "service", "vips", "names", "listeners")
_LIVE_PHASES = frozenset({"Serving", "Draining"})


@dataclass(frozen=True, slots=True)
class Host:
    """One host name that DNS knows now."""

    name: bytes
    """Wire form."""
    ttl_s: int
    no_data: bool = False
    """It exists, and has no address."""

    @property
    def is_wildcard(self) -> bool:
        """Tell whether it stands for names that are not there by themselves."""
        return self.name.startswith(names.WILDCARD)


@dataclass(frozen=True, slots=True)
class Port:
    """One named port that is served."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What DNS needs to know of one L4VirtualService."""

    rank: tuple[str, str]
    """Creation time and UID: the older one has a disputed name."""
    live: bool
    """False once it is Withdrawn: it publishes nothing and may go."""
    vips: frozenset[tuple[str, str]]
    """All its addresses, canonical, each with the UID of the IPAllocation that grants it."""
    answers: tuple[zone.Address, ...]
    """The addresses that names have now."""
    hosts: tuple[Host, ...]
    ports: tuple[Port, ...]
    owner: str
    """`<namespace>/<name>` of the Service."""
    faults: tuple[str, ...]
    """What was passed over, field and reason."""


def slim(obj: dict[str, Any]) -> dict[str, Any]:
    """Return only what `parse` reads, so that a cache of 10,000 objects stays small."""
    kept = ("name", "uid", "resourceVersion", "creationTimestamp")
    metadata, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    return {
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {key: spec[key] for key in _READ if key in spec},
    }


def parse(obj: Json) -> Decision:
    """Return the decision that an object states; parts that make no sense are faults in it."""
    metadata, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    faults: list[str] = []
    vips = list(_vips(spec.get("vips") or (), faults))
    hosts = tuple(_hosts(spec.get("names") or (), faults))
    return Decision(
        rank=(str(metadata.get("creationTimestamp", "")), str(metadata.get("uid", ""))),
        live=spec.get("phase", "Serving") in _LIVE_PHASES,
        vips=frozenset((str(vip.address), vip.grant) for vip in vips),
        answers=tuple(_answers(vips)),
        hosts=hosts,
        ports=tuple(_ports(spec.get("listeners") or (), faults)),
        owner=_owner(spec.get("service") or {}, metadata),
        faults=tuple(faults),
    )


@dataclass(frozen=True, slots=True)
class _Vip:
    address: zone.Address
    role: str
    grant: str
    """UID of its IPAllocation; empty where the decision does not say."""


def _vips(listed: Any, faults: list[str]) -> Iterator[_Vip]:
    for index, vip in enumerate(listed):
        try:
            grant = str((vip.get("allocation") or {}).get("uid", ""))
            address = ipaddress.ip_address(vip["address"])
            yield _Vip(address, str(vip.get("role", "Current")), grant)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            faults.append(f"spec.vips[{index}].address: {error}")


def _answers(vips: list[_Vip]) -> Iterator[zone.Address]:
    """Yield the current addresses: an incoming one may not work yet, an outgoing one soon stops."""
    current = [vip.address for vip in vips if vip.role == "Current"]
    yield from sorted(current, key=lambda address: address.version)


def _hosts(listed: Any, faults: list[str]) -> Iterator[Host]:
    for index, entry in enumerate(listed):
        try:
            published, no_data = bool(entry.get("published")), bool(entry.get("noData"))
            if published or no_data:
                ttl_s = max(0, min(int(entry.get("ttlSeconds", 5)), 2**31 - 1))
                yield Host(names.to_wire(entry["host"]), ttl_s, no_data and not published)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            faults.append(f"spec.names[{index}]: {error}")


def _ports(listed: Any, faults: list[str]) -> Iterator[Port]:
    for index, entry in enumerate(listed):
        try:
            if entry.get("name"):
                number = int(entry["port"])
                yield Port(str(entry["name"]), str(entry["protocol"]), number)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            faults.append(f"spec.listeners[{index}]: {error}")


def _owner(service: Any, metadata: Json) -> str:
    try:
        return f"{service['namespace']}/{service['name']}"
    except (KeyError, TypeError):
        return str(metadata.get("name", "")).replace(".", "/", 1)
