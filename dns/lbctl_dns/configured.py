"""From settings to the zones they describe. Pure."""

import ipaddress
from collections.abc import Iterable, Iterator

from lbctl.ipam.resolve import resolve
from lbctl.model import errors, reverse
from lbctl.model.pool import AddressRange, DeclaredPool
from lbctl.settings import NameServiceSettings, Settings
from lbctl.translate import zones as zone_basis
from lbctl.translate.pools import configured_pools
from lbctl_dns import contents, limit, names, zone


def zones(tree: Settings, declared: Iterable[DeclaredPool] = ()) -> tuple[zone.Zone, ...]:
    """Return one zone per subdomain, and those of the names of addresses in pools.

    `declared` are AddressPool objects. Raises Misconfigured naming the field.
    """
    settings = tree.nameservice
    if not tree.zones:
        raise errors.Misconfigured("nameservice.subdomains: names no zone to serve")
    try:
        own = [ipaddress.ip_address(text) for text in settings.ns_addresses]
    except ValueError as error:
        raise errors.Misconfigured(f"nameservice.nsAddresses: {error}") from error
    forward = tuple(_zone(subdomain, settings, own) for subdomain in tree.zones)
    if not settings.reverse:
        return forward
    known = {one.origin for one in forward}
    found = (names.to_wire(text) for text in reverse.zones_of(_ranges(tree, declared)))
    return (*forward, *(_reverse(origin, forward[0]) for origin in found if origin not in known))


def style(tree: Settings) -> contents.Style:
    """Return what the settings say about records."""
    basis = zone_basis.basis(tree)
    return contents.Style(tree.lbctl.cluster_name, tree.nameservice.owner_records, basis)


def _ranges(tree: Settings, declared: Iterable[DeclaredPool]) -> Iterator[AddressRange]:
    """Yield what pools give: the same that the controller gives addresses from."""
    try:
        configured = configured_pools(tree.pools)
    except ValueError as error:
        raise errors.Misconfigured(f"addressPools: {error}") from error
    for pool in resolve(configured, declared).pools:
        yield from pool.given


def _reverse(origin: bytes, first: zone.Zone) -> zone.Zone:
    """Return a zone of addresses: its servers have their names in the first zone."""
    servers = next(one.rdatas for one in first.fixed if one.rtype == zone.NS)
    own = zone.RecordSet(origin, zone.NS, zone.APEX_TTL_S, servers)
    return zone.Zone(origin, first.soa, (own,))


def rate_limit(settings: NameServiceSettings) -> limit.Rules | None:
    """Return the rules of response rate limiting, None when it is off."""
    asked = settings.rate_limit
    if not asked.responses_per_second:
        return None
    return limit.Rules(asked.responses_per_second, asked.slip, asked.window, asked.exempt)


def _zone(subdomain: str, settings: NameServiceSettings, own: list[zone.Address]) -> zone.Zone:
    timers = settings.soa
    known = subdomain in settings.subdomains
    field = "nameservice.subdomains" if known else "NetworkSettings.defaultDomain"
    origin = _name(subdomain, field)
    # Names made from the zone's own fit where the longest of them does.
    _name(f"hostmaster.{subdomain}", field)
    mname = _name(timers.mname or f"ns1.{subdomain}", "nameservice.soa.mname")
    rname = _name(timers.rname or f"hostmaster.{subdomain}", "nameservice.soa.rname")
    soa = zone.Soa(mname, rname, timers.refresh, timers.retry, timers.expire, timers.negative_ttl)
    return zone.Zone(origin, soa, zone.name_servers(origin, mname, own))


def _name(text: str, field: str) -> bytes:
    try:
        return names.to_wire(text)
    except ValueError as error:
        raise errors.Misconfigured(f"{field}: {text}: {error}") from error
