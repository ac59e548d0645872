"""Whether a Service may share an address with those who hold it. Pure.

The newcomer is refused; who holds the address never notices.
"""

from collections.abc import Iterable

from lbctl.model.allocation import Allocation, Holder
from lbctl.model.reasons import Reason, Refused
from lbctl.model.sharing import EVERY_NAMESPACE


def refusal(newcomer: Holder, key: str, found: Allocation) -> Refused | None:
    """Return why a Service may not be among the holders of an address; None when it may.

    To be asked also when a holder changes its ports, policy or consent: it counts as a newcomer.
    """
    others = others_than(newcomer.service.uid, found)
    if others and (not key or key != found.sharing_key):
        return Refused(Reason.ADDRESS_TAKEN, f"{found.address} is held by {_name(others[0])}")
    for other in others:
        refused = _against(newcomer, other, found)
        if refused is not None:
            return refused
    return None


def others_than(uid: str, found: Allocation) -> tuple[Holder, ...]:
    """Return the holders of an address but one."""
    return tuple(holder for holder in found.holders if holder.service.uid != uid)


def _against(newcomer: Holder, other: Holder, found: Allocation) -> Refused | None:
    unwilling = _unwilling(newcomer, other)
    if unwilling is not None:
        detail = (
            f"{found.address} is held by {_name(other)} in another namespace, and "
            f"{_name(unwilling)} does not consent (lbctl.io/shared-ip-namespaces)"
        )
        return Refused(Reason.SHARING_NOT_ALLOWED, detail)
    clash = sorted(set(newcomer.ports) & set(other.ports))
    if clash:
        port, protocol = clash[0]
        detail = f"{found.address} has {protocol} port {port} in use by {_name(other)}"
        return Refused(Reason.PORT_CLASH, detail)
    if newcomer.traffic != other.traffic:
        detail = (
            f"{found.address} is held by {_name(other)}: who shares an address must have the same "
            "externalTrafficPolicy, and with Local the same selector"
        )
        return Refused(Reason.SHARING_NOT_ALLOWED, detail)
    return None


def _unwilling(newcomer: Holder, other: Holder) -> Holder | None:
    """Return who of two does not consent to sharing; in one namespace nobody is asked."""
    for holder, guest in ((newcomer, other), (other, newcomer)):
        if not _consents(holder.shares_with, holder.service.namespace, guest.service.namespace):
            return holder
    return None


def _consents(namespaces: Iterable[str], own: str, other: str) -> bool:
    return own == other or bool({EVERY_NAMESPACE, other} & set(namespaces))


def _name(holder: Holder) -> str:
    return f"{holder.service.namespace}/{holder.service.name}"
