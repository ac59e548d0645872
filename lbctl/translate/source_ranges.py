"""Who may connect to a Service: its source ranges, canonical, and what is wrong with them. Pure.

Source: Kubernetes `v1.Service`, whose validation lets old objects keep blanks and leading zeros.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.translate.annotations import SOURCE_RANGES

_LEADING_ZEROS = re.compile(r"\b0+(?=[0-9])")


@dataclass(frozen=True, slots=True)
class SourceRanges:
    """What the Service says about who may connect."""

    texts: tuple[str, ...]
    """Canonical CIDRs, and what did not parse as it stands: that lets nobody in. Empty: all."""
    faults: tuple[str, ...]
    """What did not parse, with the place where it stands."""


def read_source_ranges(annotations: Mapping[str, str], spec: Mapping[str, Any]) -> SourceRanges:
    """Return the ranges of the field, else of upstream's annotation; in order, each once."""
    place, texts = "spec.loadBalancerSourceRanges", spec.get("loadBalancerSourceRanges") or ()
    if not texts:
        place = f"annotation {SOURCE_RANGES}"
        texts = filter(None, map(str.strip, annotations.get(SOURCE_RANGES, "").split(",")))
    found: dict[str, None] = {}
    faults = []
    for text in texts:
        network = _network(text)
        if network is None:
            faults.append(f"{place}: {text!r} is not a CIDR")
        found[network or text] = None
    return SourceRanges(tuple(found), tuple(faults))


def _network(text: str) -> str | None:
    """Return the canonical form, None where it is no CIDR; a length must be there, as upstream."""
    address, _, length = text.strip().partition("/")
    if ":" not in address:
        # Decimal to Kubernetes; Python refuses them, as others read them as octal.
        address = _LEADING_ZEROS.sub("", address)
    if not length.isdecimal() or "%" in address:
        return None
    try:
        return str(ipaddress.ip_network(f"{address}/{int(length)}", strict=False))
    except ValueError:
        return None
