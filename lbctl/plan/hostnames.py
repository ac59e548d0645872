"""The host names that a Service is to have, and who else has a say in them. Pure.

What is refused is a value beside the rest: one bad name costs no other.
"""

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

    _ranks: dict[str, Rank] = field(default_factory=dict)
    _hosts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _askers: dict[str, set[str]] = field(default_factory=dict)

    def enter(self, key: str, rank: Rank, hosts: tuple[str, ...]) -> frozenset[str]:
        """Put these names in the place of what a Service asked for before.

        Return the keys of the others whom that may concern.
        """
        if (self._ranks.get(key), self._hosts.get(key, ())) == (rank, hosts):
            return frozenset()
        before = self._hosts.pop(key, ())
        for host in before:
            self._askers[host].discard(key)
            if not self._askers[host]:
                del self._askers[host]
        self._ranks[key] = rank
        if hosts:
            self._hosts[key] = hosts
        else:
            del self._ranks[key]
        for host in hosts:
            self._askers.setdefault(host, set()).add(key)
        return self._concerned({*before, *hosts}) - {key}

    def asking(self, host: str) -> frozenset[str]:
        """Return the keys of the Services that ask for a name."""
        return frozenset(self._askers.get(host, ()))

    def owner(self, host: str) -> str:
        """Return the key of the Service that a name belongs to; empty: nobody asks for it."""
        return min(self._askers.get(host, ()), key=lambda key: (self._ranks[key], key), default="")

    def rivals(
        self, key: str, answered: Collection[str], answering: Callable[[str], Collection[str]]
    ) -> dict[str, str]:
        """Return who has each name that a Service asks for and may not have now.

        `answered` are the names that DNS answers with its addresses already, `answering` tells
        which Services have a name answered: nobody takes a name before it was let go.
        """
        found: dict[str, str] = {}
        for host in self._hosts.get(key, ()):
            owner = self.owner(host)
            others = () if host in answered else sorted({*answering(host)} - {key})
            if owner != key:
                found[host] = owner
            elif others:
                found[host] = others[0]
        return found

    def _concerned(self, hosts: Collection[str]) -> frozenset[str]:
        return frozenset(key for host in hosts for key in self._askers.get(host, ()))
