"""How nft writes places: virtual address, protocol and port. Pure."""


def ip(version: int) -> str:
    """Return the name of an IP version."""
    return "ip" if version == 4 else "ip6"


def types(version: int) -> str:
    """Return the types of a place in the key of a set or map."""
    return f"ipv{version}_addr . inet_proto . inet_service"


def reached(version: int) -> str:
    """Return the place that a packet is sent to, as a rule looks it up."""
    return f"{ip(version)} daddr . meta l4proto . th dport"
