"""`lbctl get records`: what DNS answers for Services, and why it does not answer a name. Pure.

From the decisions, by the rules of the DNS server (`lbctl_dns.contents`): a name belongs to the
oldest decision that publishes it, and stands for the current addresses.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lbctl.inspection.listing import Branch, Column, Listing, Row
from lbctl.inspection.scene import Scene
from lbctl.kube.objects import Json, metadata, uid_of
from lbctl.model.hostnames import is_wildcard
from lbctl.model.names import owner_mark, srv_labels
from lbctl.model.reasons import Reason
from lbctl.model.virtual_service import (
    Address,
    NamePublication,
    Phase,
    VipRole,
    VirtualService,
    parse_virtual_service,
)
from lbctl.plan.hostnames import Naming

COLUMNS = (
    Column("NAME"),
    Column("TTL"),
    Column("TYPE"),
    Column("DATA"),
    Column("NAMESPACE"),
    Column("SERVICE"),
    Column("PUBLISHED"),
)
PUBLISHED = "yes"
_TYPES = {4: "A", 6: "AAAA"}


@dataclass(frozen=True, slots=True)
class _Record:
    name: str
    ttl_s: int
    rtype: str
    data: str
    service: str
    """`<namespace>/<name>`."""
    published: str
    """`PUBLISHED`, or why not."""

    @property
    def place(self) -> tuple[bool, str, str, str]:
        """Return a sort key: names of addresses come last."""
        return self.rtype == "PTR", self.name, self.rtype, self.data


def listing(scene: Scene) -> Listing:
    """Return the records, by name and type; those of addresses come last."""
    naming = scene.rules.naming
    owners: dict[str, str] = {}
    found: list[_Record] = []
    for obj in sorted(scene.known.decisions, key=_age):
        decision = parse_virtual_service(obj)
        if decision.phase is not Phase.WITHDRAWN:
            reason = str((obj.get("status") or {}).get("reason") or "")
            found.extend(_records(decision, reason, naming, owners))
    return Listing(COLUMNS, tuple(_row(one) for one in sorted(found, key=lambda one: one.place)))


def answers(decision: VirtualService) -> tuple[Address, ...]:
    """Return the addresses that names have now, IPv4 first."""
    current = (vip.address for vip in decision.vips if vip.role is VipRole.CURRENT)
    return tuple(sorted(current, key=lambda address: address.version))


def _age(obj: Json) -> tuple[str, str]:
    return (str(metadata(obj).get("creationTimestamp") or ""), uid_of(obj))


def _records(
    decision: VirtualService, reason: str, naming: Naming, owners: dict[str, str]
) -> Iterator[_Record]:
    """Yield the records of one decision; `owners` has the names that older ones answer."""
    service = f"{decision.service.namespace}/{decision.service.name}"
    primary = ""
    for name in decision.names:
        told = PUBLISHED if name.published else reason or Reason.NO_ENDPOINTS.value
        owner = name.taken_by
        if name.published:
            owner = owners.setdefault(name.host, service)
        if owner not in ("", service):
            told = f"{Reason.HOSTNAME_TAKEN.value} ({owner})"
        elif name.published and not is_wildcard(name.host):
            primary = primary or name.host
        for rtype, host, data in _of_name(decision, name, naming):
            yes = rtype == "TXT" and name.no_data
            yield _Record(host, name.ttl_s, rtype, data, service, PUBLISHED if yes else told)
    if primary and naming.reverse:
        yield from _pointers(decision, primary, owners)


def _of_name(
    decision: VirtualService, name: NamePublication, naming: Naming
) -> Iterator[tuple[str, str, str]]:
    """Yield type, owner name and data of what belongs to one host name."""
    for address in answers(decision):
        yield _TYPES[address.version], name.host, str(address)
    for listener in decision.listeners:
        if listener.name and not is_wildcard(name.host):
            labels = srv_labels(listener.name, listener.protocol)
            host = ".".join((*labels, name.host))
            yield "SRV", host, f"0 0 {listener.port} {name.host}"
    if name.no_data or (naming.owner_records and not name.taken_by):
        own = f"{decision.service.namespace}/{decision.service.name}"
        yield "TXT", name.host, f'"{owner_mark(naming.cluster, own)}"'


def _pointers(decision: VirtualService, primary: str, owners: dict[str, str]) -> Iterator[_Record]:
    service = f"{decision.service.namespace}/{decision.service.name}"
    ttl_s = decision.names[0].ttl_s
    for address in answers(decision):
        name = address.reverse_pointer
        if owners.setdefault(name, service) == service:
            yield _Record(name, ttl_s, "PTR", primary, service, PUBLISHED)


def _row(record: _Record) -> Row:
    namespace, _, service = record.service.partition("/")
    cells = (
        record.name, str(record.ttl_s), record.rtype, record.data, namespace, service,
        record.published,
    )  # fmt: skip
    item: dict[str, object] = {
        "name": record.name,
        "ttl": record.ttl_s,
        "type": record.rtype,
        "data": record.data,
        "namespace": namespace,
        "service": service,
        "published": record.published == PUBLISHED,
        "reason": "" if record.published == PUBLISHED else record.published,
    }
    return Row(
        cells=cells,
        names=frozenset({record.name, record.data, service, record.service}),
        reference=record.name,
        item=item,
        namespaces=frozenset({namespace}),
        branch=lambda: Branch("  ".join((*cells[:4], cells[6]))),
    )
