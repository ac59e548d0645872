"""Which addresses stand in a decision and in which role: how an address changes in place. Pure.

Another address than the current one comes in first (Incoming), is acknowledged, and then takes
over (Current): names and status follow it. The one before goes on (Outgoing) until the status has
moved and the names' TTL is over, so that no client that knows it is left alone.
"""

import datetime

from lbctl.model.allocation import Allocation
from lbctl.model.virtual_service import Address, Vip, VipRole, VirtualService
from lbctl.plan import readiness, times
from lbctl.plan.view import View
from lbctl.translate.service import ServiceFacts

_ORDER = (VipRole.CURRENT, VipRole.INCOMING, VipRole.OUTGOING)


def desired_vips(view: View, service: ServiceFacts, now: datetime.datetime) -> tuple[Vip, ...]:
    """Return the addresses of a decision; only what is held has a place in it."""
    held = {entry.address: entry for entry in view.allocations if entry.is_held_by(service.uid)}
    decided = {vip.address: vip for vip in _decided(view) if vip.address in held}
    roles: dict[Address, VipRole] = {}
    for family in service.families:
        mine = [entry for entry in held.values() if entry.address.version == family]
        roles |= _roles(view, service, mine, decided)
    drains: dict[Address, str] = {}
    for vip in decided.values():
        if vip.address not in roles and not _is_over(view, service, vip, now):
            roles[vip.address] = VipRole.OUTGOING
            drains[vip.address] = vip.drain_start or times.render(now)
    found = (
        Vip(address, role, held[address].name, held[address].uid, drains.get(address, ""))
        for address, role in roles.items()
    )
    return tuple(sorted(found, key=_place))


def current(decided: VirtualService) -> tuple[Vip, ...]:
    """Return the addresses that names and status have."""
    return tuple(vip for vip in decided.vips if vip.role is VipRole.CURRENT)


def drain_ends(view: View) -> datetime.datetime | None:
    """Return when the next outgoing address has been known to nobody for long enough."""
    starts = [vip.drain_start for vip in _decided(view) if vip.drain_start]
    return min((_end(view, start) for start in starts), default=None)


def _decided(view: View) -> tuple[Vip, ...]:
    return view.decision.virtual_service.vips if view.decision is not None else ()


def _roles(
    view: View, service: ServiceFacts, mine: list[Allocation], decided: dict[Address, Vip]
) -> dict[Address, VipRole]:
    """Return the roles of the addresses of one family that are there to stay."""
    if not mine:
        return {}
    known = _current(service, mine, decided)
    target = _target(view, service, mine, decided, known)
    if view.decision is None or target == known or _is_programmed(view, decided.get(target)):
        return {target: VipRole.CURRENT}
    if known is None:
        return {target: VipRole.INCOMING}
    return {target: VipRole.INCOMING, known: VipRole.CURRENT}


def _current(
    service: ServiceFacts, mine: list[Allocation], decided: dict[Address, Vip]
) -> Address | None:
    """Return the address that clients know.

    It is the one decided for; unless the status shows another one of ours that was never decided
    for: then two writers met, such as a last leader's late write, and what is out there stays.
    """
    addresses = [entry.address for entry in mine]
    shown = [a for a in addresses if a in service.ingress and a not in decided]
    agreed = [a for a in addresses if a in decided and decided[a].role is VipRole.CURRENT]
    if any(address in service.ingress for address in agreed):
        shown = []
    return next(iter((*shown, *agreed)), None)


def _target(
    view: View,
    service: ServiceFacts,
    mine: list[Allocation],
    decided: dict[Address, Vip],
    known: Address | None,
) -> Address:
    """Return the address that the Service is to have in the end."""
    if known is not None and known not in view.unfit:
        return known
    addresses = [entry.address for entry in mine]
    fit = [address for address in addresses if address not in view.unfit]
    if known is not None and not fit:
        return known
    return min(
        fit or addresses,
        key=lambda a: (a not in decided, a not in service.ingress, addresses.index(a)),
    )


def _is_programmed(view: View, vip: Vip | None) -> bool:
    """Tell whether an address that is not the current one already works."""
    if vip is None or view.decision is None:
        return False
    if vip.role is VipRole.OUTGOING:
        return True
    return readiness.readiness(view, view.decision).showable


def _is_over(view: View, service: ServiceFacts, vip: Vip, now: datetime.datetime) -> bool:
    """Tell whether an address that is not wanted any more may go: nobody is told of it."""
    if vip.role is VipRole.INCOMING:
        return True
    if vip.role is VipRole.CURRENT or not vip.drain_start or view.decision is None:
        return False
    moved = vip.address not in service.ingress
    acknowledged = readiness.readiness(view, view.decision).showable
    return moved and acknowledged and now >= _end(view, vip.drain_start)


def _end(view: View, drain_start: str) -> datetime.datetime:
    names = view.decision.virtual_service.names if view.decision is not None else ()
    ttl_s = max((name.ttl_s for name in names), default=0)
    return times.parse(drain_start) + datetime.timedelta(seconds=ttl_s)


def _place(vip: Vip) -> tuple[int, int, int]:
    return (vip.address.version, _ORDER.index(vip.role), int(vip.address))
