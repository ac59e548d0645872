"""From settings to the zones they describe. Pure."""

import ipaddress

from lbctl.model import errors
from lbctl.settings import NameServiceSettings, Settings
from lbctl_dns import limit, names, zone


def zones(tree: Settings) -> tuple[zone.Zone, ...]:
    """Return one zone per subdomain. Raises Misconfigured naming the field."""
    settings = tree.nameservice
    if not tree.zones:
        raise errors.Misconfigured("nameservice.subdomains: names no zone to serve")
    try:
        own = [ipaddress.ip_address(text) for text in settings.ns_addresses]
    except ValueError as error:
        raise errors.Misconfigured(f"nameservice.nsAddresses: {error}") from error
    return tuple(_zone(subdomain, settings, own) for subdomain in tree.zones)


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
