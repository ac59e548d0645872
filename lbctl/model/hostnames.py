"""Host names that Services ask for: their form, who may have them, what DNS says at zero. Pure.

Source: RFC 1123 §2.1 (host names), RFC 4592 (wildcards).
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lbctl.model.selector import Selector

NAMESPACE = "{namespace}"
"""In a suffix: the name of the namespace that asks."""
WILDCARD = "*."
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LIMIT = 253


class AtZero(enum.Enum):
    """What DNS answers for the names of a Service without a usable endpoint."""

    NXDOMAIN = "nxdomain"
    NODATA = "nodata"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class SuffixRule:
    """Which namespaces may have names at and below one domain."""

    suffix: str
    """Without a trailing dot; may hold `{namespace}`."""
    namespaces: frozenset[str] = frozenset()
    selectors: tuple[Selector, ...] = ()
    """Namespaces by label; one that is named or selected may. Neither said: every namespace."""

    def allows(self, host: str, namespace: str, labels: Mapping[str, str]) -> bool:
        """Tell whether a namespace with these labels may have a name.

        >>> SuffixRule("{namespace}.lb.example").allows("www.shop.lb.example", "shop", {})
        True
        """
        anybody = not (self.namespaces or self.selectors)
        named = namespace in self.namespaces
        if not (anybody or named or any(entry.selects(labels) for entry in self.selectors)):
            return False
        return is_within(host, self.suffix.replace(NAMESPACE, namespace))


def parse_host(text: str) -> str:
    """Return a host name in lower case without the final dot; its first label may be `*`.

    Raises ValueError that says what is wrong.

    >>> parse_host("*.Apps.lb.example.")
    '*.apps.lb.example'
    """
    host = text.strip().lower().removesuffix(".")
    if len(host) > _LIMIT:
        raise ValueError(f"{text!r} has more than {_LIMIT} characters")
    labels = host.removeprefix(WILDCARD).split(".")
    if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{text!r} is not a host name")
    return host


def is_within(host: str, domain: str) -> bool:
    """Tell whether a host is the domain or below it, label by label.

    >>> is_within("a.lb.example", "lb.example"), is_within("alb.example", "lb.example")
    (True, False)
    """
    return host == domain or host.endswith(f".{domain}")


def is_wildcard(host: str) -> bool:
    """Tell whether a name stands for all names that are not there by themselves."""
    return host.startswith(WILDCARD)
