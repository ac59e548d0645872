"""Build holders, allocations, requests and pools for tests of who gets which address."""

from typing import Any

import builders
from lbctl.ipam.allocator import AddressRequest
from lbctl.ipam.ledger import Ledger
from lbctl.model.allocation import Allocation, AllocationState, Holder
from lbctl.model.pool import AddressPool, parse_block, parse_range
from lbctl.model.selector import Requirement, Selector
from lbctl.model.virtual_service import ServiceRef

HTTP = ((80, "TCP"),)


def holder(name: str = "me", **overrides: Any) -> Holder:
    """Return the Service of a name in `default`, or of `<namespace>/<name>`, as a holder."""
    namespace, _, own = name.rpartition("/")
    service = ServiceRef(namespace or "default", own, f"uid-{own}")
    fields: dict[str, Any] = {"service": service, "ports": HTTP, "traffic": "Cluster"}
    return Holder(**fields | overrides)


def request(name: str = "me", family: int = 4, **overrides: Any) -> AddressRequest:
    """Return what a Service asks for; fields of its holder go by `holder`."""
    made = overrides.pop("holder", None) or holder(name)
    for field in ("wanted", "shown"):
        if field in overrides:
            overrides[field] = builders.address(overrides[field])
    return AddressRequest(made, family, **overrides)


def bound(text: str, *names: str, **overrides: Any) -> Allocation:
    """Return an address that Services hold."""
    holders = overrides.pop("holders", tuple(holder(name) for name in names))
    return Allocation(builders.address(text), overrides.pop("pool", "first"), holders, **overrides)


def reserved(text: str, service: str, **overrides: Any) -> Allocation:
    """Return an address that is kept for `<namespace>/<name>`."""
    return Allocation(
        builders.address(text),
        "first",
        (),
        state=AllocationState.RESERVED,
        reserved_for=service,
        uid=f"alloc-{text}",
        resource_version="7",
        **overrides,
    )


def ledger(**held: str) -> Ledger:
    """Return a ledger in which each Service of `default` has the address that is its value."""
    return Ledger(bound(text, name) for name, text in held.items())


def pool(name: str, *texts: str, **overrides: Any) -> AddressPool:
    """Return a pool; `static` and `reserved` are texts, too."""
    for field, parse in (("static", parse_range), ("reserved", parse_block)):
        if field in overrides:
            overrides[field] = tuple(parse(text) for text in overrides[field])
    return AddressPool(name, tuple(parse_range(text) for text in texts), **overrides)


def labelled(key: str, value: str) -> Selector:
    """Return the selector of one label."""
    return Selector((Requirement(key, "In", frozenset({value})),))
