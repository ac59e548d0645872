"""The host names that a Service is to have, and who else has a say in them. Pure.

What is refused is a value beside the rest: one bad name costs no other.
"""

import bisect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from lbctl.model import names
from lbctl.model.hostnames import AtZero, SuffixRule, is_within
from lbctl.model.reasons import Reason, Refused
from lbctl.translate.hostnames import HostWish
from lbctl.translate.service import ServiceFacts


@dataclass(frozen=True, slots=True)
class Naming:
    """What names are made of, from the settings."""

    cluster: str
    subdomain: str
    """Services get a name in it; empty: only those that they ask for."""
    ttl_s: int
    empty_grace_s: float
    flat: bool = False
    """Names have one label before the subdomain."""
    zones: tuple[str, ...] = ()
    """Every zone of the DNS server, without trailing dots."""
    reserved: frozenset[str] = frozenset()
    """Names of the zones themselves, such as those of their name servers."""
    ttl_bounds_s: tuple[int, int] = (0, 86400)
    """Least and greatest TTL that a Service may ask for."""
    opt_in: bool = False
    """Only who asks for it gets names."""
    suffixes: tuple[SuffixRule, ...] = ()
    """Who may ask for which names; empty: everybody for any."""
    at_zero: AtZero = AtZero.NXDOMAIN
    owner_records: bool = False
    """Each name has a TXT record that tells whose it is."""
    reverse: bool = True
    """Addresses have PTR records."""


@dataclass(frozen=True, slots=True)
class WantedNames:
    """What a Service asks for, as far as it may have it."""

    hosts: tuple[str, ...]
    """Those it asks for in its order, then the one that it gets by itself; each once."""
    ttl_s: int
    at_zero: AtZero
    declined: bool
    """It is to have no name at all."""
    refused: tuple[Refused, ...]


def wanted_names(naming: Naming, service: ServiceFacts, labels: Mapping[str, str]) -> WantedNames:
    """Return the names of a Service whose namespace has these labels."""
    wishes = service.names
    ttl_s, bounded = _ttl_s(naming, wishes.ttl_s)
    at_zero = wishes.at_zero or naming.at_zero
    declined = naming.opt_in if wishes.named is None else not wishes.named
    if declined:
        return WantedNames((), ttl_s, at_zero, declined, ())
    judged = [(wish, _refusal(naming, service, labels, wish)) for wish in wishes.hosts]
    hosts = [wish.host for wish, refused in judged if refused is None and _ours(naming, wish)]
    if naming.subdomain:
        own = names.host_name(service.namespace, service.name, naming.subdomain, flat=naming.flat)
        hosts.append(own)
    refused = (*wishes.faults, *(found for _, found in judged if found is not None), *bounded)
    return WantedNames(tuple(dict.fromkeys(hosts)), ttl_s, at_zero, declined, refused)


def _ttl_s(naming: Naming, asked: int | None) -> tuple[int, tuple[Refused, ...]]:
    """Return the TTL, and what to tell where the nearest bound takes the place of a wish."""
    if asked is None:
        return naming.ttl_s, ()
    least, greatest = naming.ttl_bounds_s
    given = max(least, min(asked, greatest))
    if given == asked:
        return given, ()
    detail = f"a TTL of {asked} s is not between {least} and {greatest}: {given} counts"
    return given, (Refused(Reason.NAME_SETTING_MALFORMED, detail),)


def _ours(naming: Naming, wish: HostWish) -> bool:
    return any(is_within(wish.host, zone) for zone in naming.zones)


def _refusal(
    naming: Naming, service: ServiceFacts, labels: Mapping[str, str], wish: HostWish
) -> Refused | None:
    if not _ours(naming, wish):
        if not wish.is_own:
            return None  # external-dns serves other zones with the same annotation
        zones = ", ".join(naming.zones) or "none"
        return Refused(Reason.HOSTNAME_NOT_IN_ZONE, f"{wish.host} (zones: {zones})")
    if wish.host in naming.reserved:
        return Refused(Reason.HOSTNAME_NOT_ALLOWED, f"{wish.host} is the zone's own")
    rules = naming.suffixes
    if rules and not any(rule.allows(wish.host, service.namespace, labels) for rule in rules):
        detail = f"{wish.host}: not for namespace {service.namespace}"
        return Refused(Reason.HOSTNAME_NOT_ALLOWED, detail)
    return None


Rank = tuple[str, str]
"""Creation time, then UID: the lower one has a name that two ask for."""


@dataclass(slots=True)
class NameRegister:
    """Which Services ask for which names; a name belongs to the oldest of them."""

    _asked: dict[str, tuple[Rank, tuple[str, ...]]] = field(default_factory=dict)
    """Rank and names by key."""
    _askers: dict[str, list[tuple[Rank, str]]] = field(default_factory=dict)
    """Rank and key of those who ask for a name, sorted: the first one has it."""

    def enter(self, key: str, rank: Rank, hosts: tuple[str, ...]) -> frozenset[str]:
        """Put these names in the place of what a Service asked for before.

        Return the keys of the others whom that concerns: a name of theirs has another owner now.
        """
        last, before = self._asked.pop(key, (rank, ()))
        if hosts:
            self._asked[key] = rank, hosts
        if (last, before) == (rank, hosts):
            return frozenset()
        touched = {*before, *hosts}
        owners = {host: self.owner(host) for host in touched}
        for host in before:
            self._leave(host, (last, key))
        for host in hosts:
            bisect.insort(self._askers.setdefault(host, []), (rank, key))
        moved = (host for host in touched if self.owner(host) != owners[host])
        return frozenset(other for host in moved for other in self.asking(host)) - {key}

    def asking(self, host: str) -> tuple[str, ...]:
        """Return the keys of the Services that ask for a name, the owner's first."""
        return tuple(key for _, key in self._askers.get(host, ()))

    def owner(self, host: str) -> str:
        """Return the key of the Service that a name belongs to; empty: nobody asks for it."""
        askers = self._askers.get(host)
        return askers[0][1] if askers else ""

    def _leave(self, host: str, asker: tuple[Rank, str]) -> None:
        askers = self._askers[host]
        del askers[bisect.bisect_left(askers, asker)]
        if not askers:
            del self._askers[host]

    def rivals(
        self, key: str, answered: Collection[str], answering: Callable[[str], Collection[str]]
    ) -> dict[str, str]:
        """Return who has each name that a Service asks for and may not have now.

        `answered` are the names that DNS answers with its addresses already, `answering` tells
        which Services have a name answered: nobody takes a name before it was let go.
        """
        found: dict[str, str] = {}
        for host in self._asked.get(key, ((), ()))[1]:
            owner = self.owner(host)
            others = () if host in answered else sorted({*answering(host)} - {key})
            if owner != key:
                found[host] = owner
            elif others:
                found[host] = others[0]
        return found
