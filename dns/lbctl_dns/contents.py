"""The record sets that one decision stands for. Pure.

All of them are one claim: they come, change and go together.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from lbctl.model import names as model_names
from lbctl_dns import names, zone
from lbctl_dns.decisions import Decision, Host, Port


@dataclass(frozen=True, slots=True)
class Style:
    """What the settings say about records."""

    cluster: str = ""
    """As owner records name it."""
    owner_records: bool = False
    """Each name has a TXT record that tells whose it is."""
    basis: str = ""
    """All that they say about records, as part of each zone's digest."""


PLAIN = Style()
TYPES = frozenset({zone.A, zone.AAAA, zone.SRV, zone.TXT, zone.PTR})
"""What `record_sets` yields."""


def record_sets(decision: Decision, style: Style) -> Iterator[zone.RecordSet]:
    """Yield what a live decision wants to see published, in whatever zone it lies."""
    for host in decision.hosts:
        if host.no_data or style.owner_records:
            yield _mark(decision, host, style)
        if not host.no_data and decision.answers:
            yield from zone.addresses(host.name, host.ttl_s, decision.answers)
            yield from _services(host, decision.ports)
    yield from _pointers(decision)


def _mark(decision: Decision, host: Host, style: Style) -> zone.RecordSet:
    """Return the TXT set of a name: where it has no address, this is what makes it exist."""
    text = model_names.owner_mark(style.cluster, decision.owner).encode()
    parts = [text[at : at + 255] for at in range(0, len(text), 255)]
    rdata = b"".join(bytes((len(part),)) + part for part in parts)
    return zone.RecordSet(host.name, zone.TXT, host.ttl_s, (rdata,))


def _services(host: Host, ports: tuple[Port, ...]) -> Iterator[zone.RecordSet]:
    """Yield an SRV set for each named port (RFC 2782); a wildcard has no target to point at."""
    if host.is_wildcard:
        return
    for port in ports:
        labels = model_names.srv_labels(port.name, port.protocol)
        try:
            name = names.from_labels([*(label.encode() for label in labels), *_labels(host.name)])
        except ValueError:
            continue  # the port's name leaves no room for the underscore, or the host's for both
        rdata = struct.pack(">HHH", 0, 0, port.number) + host.name
        yield zone.RecordSet(name, zone.SRV, host.ttl_s, (rdata,))


def _pointers(decision: Decision) -> Iterator[zone.RecordSet]:
    """Yield a PTR set for each address, to the first name that is answered and no wildcard."""
    primary = next((h for h in decision.hosts if not (h.no_data or h.is_wildcard)), None)
    if primary is None:
        return
    for address in decision.answers:
        name = names.to_wire(address.reverse_pointer)
        yield zone.RecordSet(name, zone.PTR, primary.ttl_s, (primary.name,))


def _labels(name: bytes) -> Iterator[bytes]:
    while name != names.ROOT:
        yield name[1 : 1 + name[0]]
        name = names.parent(name)
