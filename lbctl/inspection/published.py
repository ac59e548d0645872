"""`lbctl get records`: the names that DNS answers, with their addresses. Pure.

From the decisions, by the rules of the DNS server (`lbctl_dns.decisions`): a name belongs to the
oldest decision that publishes it, and stands for the current addresses.
"""

from lbctl.inspection.listing import Branch, Column, Listing, Row
from lbctl.inspection.scene import Scene
from lbctl.kube.objects import Json, metadata, uid_of
from lbctl.model.virtual_service import (
    Address,
    NamePublication,
    Phase,
    VipRole,
    VirtualService,
    parse_virtual_service,
)

COLUMNS = (
    Column("NAME"),
    Column("TTL"),
    Column("TYPE"),
    Column("ADDRESS"),
    Column("NAMESPACE"),
    Column("SERVICE"),
)
_TYPES = {4: "A", 6: "AAAA"}


def listing(scene: Scene) -> Listing:
    """Return the records, by name, IPv4 first."""
    owners: dict[str, tuple[VirtualService, NamePublication]] = {}
    for obj in sorted(scene.known.decisions, key=_age):
        decision = parse_virtual_service(obj)
        if decision.phase is Phase.WITHDRAWN:
            continue
        for name in decision.names:
            if name.published:
                owners.setdefault(name.host, (decision, name))
    rows = (
        _row(decision, name, address)
        for _, (decision, name) in sorted(owners.items(), key=lambda entry: entry[0])
        for address in answers(decision)
    )
    return Listing(COLUMNS, tuple(rows))


def answers(decision: VirtualService) -> tuple[Address, ...]:
    """Return the addresses that names have now, IPv4 first."""
    current = (vip.address for vip in decision.vips if vip.role is VipRole.CURRENT)
    return tuple(sorted(current, key=lambda address: address.version))


def _age(obj: Json) -> tuple[str, str]:
    return (str(metadata(obj).get("creationTimestamp") or ""), uid_of(obj))


def _row(decision: VirtualService, name: NamePublication, address: Address) -> Row:
    service, kind = decision.service, _TYPES[address.version]
    item: dict[str, object] = {
        "name": name.host,
        "ttl": name.ttl_s,
        "type": kind,
        "address": str(address),
        "namespace": service.namespace,
        "service": service.name,
    }
    return Row(
        cells=(
            name.host, str(name.ttl_s), kind, str(address), service.namespace, service.name
        ),
        names=frozenset(
            {name.host, str(address), service.name, f"{service.namespace}/{service.name}"}
        ),
        reference=name.host,
        item=item,
        namespaces=frozenset({service.namespace}),
        branch=lambda: Branch(f"{name.host}  {name.ttl_s}  {kind}  {address}"),
    )  # fmt: skip
