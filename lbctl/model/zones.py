"""What replicas of the name server must agree on: a zone's serial and what it stands for. Pure.

A zone is made from decisions, so a digest of their parts that names are made from says which
content is meant. It is a sum over decisions: what a change costs does not grow with the zone.
"""

import hashlib
import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]

_BITS = 128
_FORMAT = 1
"""Another number when other records are made from the same decisions and settings."""
WITHDRAWN = "Withdrawn"
CURRENT = "Current"
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
"""Made once: `json.dumps` would make one for each decision."""


def later_serial(serial: int, now_s: int) -> int:
    """Return a serial after `serial` in the sense of RFC 1982: the time where that is later.

    >>> later_serial(7, 1_800_000_000), later_serial(1_800_000_000, 1_800_000_000)
    (1800000000, 1800000001)
    """
    ahead = (now_s - serial) % 2**32
    return now_s % 2**32 if 0 < ahead < 2**31 else (serial + 1) % 2**32


def parts(decision: Json) -> Json:
    """Return what names are made from, of an L4VirtualService; empty where DNS knows none."""
    spec = decision.get("spec") or {}
    known = ("published", "noData")
    names = [name for name in spec.get("names") or () if any(map(name.get, known))]
    if not names or spec.get("phase") == WITHDRAWN:
        return {}
    meta = decision["metadata"]
    vips = [vip["address"] for vip in spec.get("vips") or () if vip.get("role") == CURRENT]
    return {
        "rank": [meta.get("creationTimestamp"), meta.get("uid")],
        "names": names,
        "addresses": vips,
        "listeners": spec.get("listeners") or [],
    }


@dataclass(frozen=True, slots=True)
class _Share:
    """What one decision adds to the zones of its names."""

    value: int
    hosts: tuple[str, ...]
    addresses: tuple[str, ...]


_NOTHING = _Share(0, (), ())


class Digests:
    """The digest of each zone's content, kept current decision by decision.

    `basis` is what the settings say about records (`translate.zones.basis`). A zone within another
    one takes names from it, so it counts in the digest of that one.
    """

    def __init__(self, origins: Iterable[str], basis: str = "") -> None:
        listed = sorted(origins)
        self._sums = {
            origin: _hash([_FORMAT, basis, [one for one in listed if one.endswith(f".{origin}")]])
            for origin in listed
        }
        self._shares: dict[str, _Share] = {}

    def moved(self, origins: Iterable[str], basis: str) -> "Digests":
        """Return the digests that the same decisions give other zones, or by other settings."""
        other = Digests(origins, basis)
        for key, share in self._shares.items():
            other._shares[key] = share
            other._add(share.value, other._zones_of(share))
        return other

    @property
    def origins(self) -> frozenset[str]:
        """Return the zones, without final dot."""
        return frozenset(self._sums)

    def of(self, origin: str) -> str:
        """Return the digest of a zone, 32 hexadecimal digits."""
        return f"{self._sums[origin]:0{_BITS // 4}x}"

    def put(self, key: str, decision: Json | None) -> frozenset[str]:
        """Take a decision, or that it is gone; return the zones that are other ones now."""
        before = self._shares.pop(key, _NOTHING)
        now = _share(decision) if decision is not None else _NOTHING
        if now.value:
            self._shares[key] = now
        if now == before:
            return frozenset()
        left, entered = self._zones_of(before), self._zones_of(now)
        self._add(-before.value, left)
        self._add(now.value, entered)
        return left | entered

    def _add(self, share: int, origins: Iterable[str]) -> None:
        for origin in origins:
            self._sums[origin] = (self._sums[origin] + share) % 2**_BITS

    def _zones_of(self, share: _Share) -> frozenset[str]:
        reverse = (ipaddress.ip_address(text).reverse_pointer for text in share.addresses)
        return frozenset(zone for name in (*share.hosts, *reverse) for zone in self._zone_of(name))

    def _zone_of(self, name: str) -> Iterator[str]:
        """Yield the innermost zone that holds a name, if there is one."""
        rest = name.rstrip(".").lower()
        while rest:
            if rest in self._sums:
                yield rest
                return
            rest = rest.partition(".")[2]


def _share(decision: Json) -> _Share:
    made_from = parts(decision)
    if not made_from:
        return _NOTHING
    hosts = tuple(str(name["host"]) for name in made_from["names"])
    return _Share(_hash(made_from), hosts, tuple(made_from["addresses"]))


def _hash(made_from: Any) -> int:
    text = _JSON.encode(made_from)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[: _BITS // 8])
