"""What replicas of the name server must agree on: a zone's serial and what it stands for. Pure.

A zone is made from decisions, so a digest of their parts that names are made from says which
content is meant. It is a sum over decisions: what a change costs does not grow with the zone.
"""

import hashlib
import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]

_BITS = 128
WITHDRAWN = "Withdrawn"
CURRENT = "Current"


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


class Digests:
    """The digest of each zone's content, kept current decision by decision."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._sums = dict.fromkeys(origins, 0)
        self._shares: dict[str, tuple[int, frozenset[str]]] = {}
        """What each decision adds, and to which zones."""

    @property
    def origins(self) -> frozenset[str]:
        """Return the zones, without final dot."""
        return frozenset(self._sums)

    def of(self, origin: str) -> str:
        """Return the digest of a zone, 32 hexadecimal digits."""
        return f"{self._sums[origin]:0{_BITS // 4}x}"

    def put(self, key: str, decision: Json | None) -> frozenset[str]:
        """Take a decision, or that it is gone; return the zones that are other ones now."""
        before = self._shares.pop(key, (0, frozenset()))
        now = self._share(decision) if decision is not None else (0, frozenset())
        if now[1]:
            self._shares[key] = now
        if now == before:
            return frozenset()
        self._add(-before[0], before[1])
        self._add(now[0], now[1])
        return before[1] | now[1]

    def _add(self, share: int, origins: Iterable[str]) -> None:
        for origin in origins:
            self._sums[origin] = (self._sums[origin] + share) % 2**_BITS

    def _share(self, decision: Json) -> tuple[int, frozenset[str]]:
        made_from = parts(decision)
        if not made_from:
            return 0, frozenset()
        text = json.dumps(made_from, sort_keys=True, separators=(",", ":"))
        share = int.from_bytes(hashlib.sha256(text.encode()).digest()[: _BITS // 8])
        return share, frozenset(self._zones_of(made_from))

    def _zones_of(self, made_from: Json) -> Iterator[str]:
        hosts = [str(name["host"]) for name in made_from["names"]]
        reverse = [ipaddress.ip_address(text).reverse_pointer for text in made_from["addresses"]]
        for name in (*hosts, *reverse):
            yield from self._zone_of(name)

    def _zone_of(self, name: str) -> Iterator[str]:
        """Yield the innermost zone that holds a name, if there is one."""
        rest = name.rstrip(".").lower()
        while rest:
            if rest in self._sums:
                yield rest
                return
            rest = rest.partition(".")[2]
