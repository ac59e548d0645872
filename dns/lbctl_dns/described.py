"""Changes and their owners as the log tells of them. Pure."""

from lbctl_dns import journal, names, zone


def log_key(owner: str) -> str:
    """Return the key of log lines about an L4VirtualService; empty for no owner."""
    if not owner:
        return ""
    namespace, _, name = owner.partition(".")
    return f"L4LBService/{namespace}/{name}"


def change(one: zone.Change) -> str:
    """Return what comes and goes, the first few of it, and new serials."""
    shown = [f"+{_set_text(*found.key)}" for found in one.upserts if found.rtype != zone.SOA]
    gone = [f"-{_set_text(*key)}" for key in one.deletes]
    serials = [
        f"{names.to_text(found.name)} serial {journal.serial_of(found)}"
        for found in one.upserts
        if found.rtype == zone.SOA
    ]
    listed = [*shown, *gone]
    more = [f"and {len(listed) - 8} more"] if len(listed) > 8 else []
    return " ".join([*listed[:8], *more, *serials])


def _set_text(name: bytes, rtype: int) -> str:
    return f"{names.to_text(name)}/{zone.TYPE_NAMES.get(rtype, f'TYPE{rtype}')}"
