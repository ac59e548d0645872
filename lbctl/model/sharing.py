"""Consent of a Service to share its address with others. Pure."""

from dataclasses import dataclass, field

EVERY_NAMESPACE = "*"


@dataclass(frozen=True, slots=True)
class Sharing:
    """With whom a Service shares an address: the same key, and consent across namespaces."""

    key: str
    """Not empty; Services with the same one may share."""
    namespaces: frozenset[str] = field(default=frozenset())
    """Other namespaces that may share it; `*` is every one."""
