"""What becomes of an address when a Service gives it back. Pure."""

import datetime
from dataclasses import replace

from lbctl.ipam import sharing
from lbctl.model.allocation import Allocation, AllocationState


def without(found: Allocation, uid: str, released_at: str, reuse_delay_s: int) -> Allocation | None:
    """Return the IPAllocation after the Service of that UID gave it back; None: delete it.

    Others who share it keep it. An administrator's reservation comes back; else the pool's reuse
    delay keeps the address for a Service of the same namespace and name.
    """
    left = sharing.others_than(uid, found)
    if left or not found.is_held_by(uid):
        return replace(found, holders=left)
    kept = replace(found, holders=(), sharing_key="", bound_at="", state=AllocationState.RESERVED)
    if found.reserved_for:
        return replace(kept, released_at="")
    if reuse_delay_s <= 0:
        return None
    service = found.holders[0].service
    kept_for = f"{service.namespace}/{service.name}"
    return replace(kept, reserved_for=kept_for, released_at=released_at)


def reservation_ends(found: Allocation, reuse_delay_s: int) -> datetime.datetime | None:
    """Return when a reservation is over and its IPAllocation to be deleted; None: never."""
    if found.state is not AllocationState.RESERVED or not found.released_at:
        return None
    released = datetime.datetime.fromisoformat(found.released_at)
    return released + datetime.timedelta(seconds=reuse_delay_s)
