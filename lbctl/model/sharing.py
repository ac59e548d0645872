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

    def admits(self, namespace: str) -> bool:
        """Tell whether Services of another namespace may share; one's own always may.

        Two Services of different namespaces share when each admits the other's.

        >>> Sharing("web", frozenset({"blue"})).admits("red")
        False
        """
        return EVERY_NAMESPACE in self.namespaces or namespace in self.namespaces
