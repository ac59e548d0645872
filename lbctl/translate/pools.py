"""Address pools as operators write them, in the settings or as objects, become pools. Pure."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pydantic

from lbctl.model.pool import (
    AddressPool,
    AddressRange,
    DeclaredPool,
    Fence,
    overlap,
    parse_block,
    parse_range,
)
from lbctl.model.reasons import Reason, Refused
from lbctl.model.selector import Requirement, Selector
from lbctl.settings import AddressPoolSettings
from lbctl.settings_parts import LabelSelector
from lbctl.translate.faults import first_fault

FROM_LABEL = "lbctl.io/from"
"""On AddressPool objects that mirror a pool of the settings; they are no source."""
FROM_SETTINGS = "settings"
PRIORITY = 100
"""Of a pool that says none; of the settings' pools the first one has it, the next one more."""


def configured_pools(pools: Sequence[AddressPoolSettings]) -> tuple[AddressPool, ...]:
    """Return the pools of the settings; without a priority their place in the list counts.

    Raises ValueError that names the pool, also where two have an address in common.
    """
    found: list[AddressPool] = []
    for index, entry in enumerate(pools):
        pool = _pool(entry, PRIORITY + index)
        common = next(filter(None, (overlap(pool, other) for other in found)), "")
        if common:
            raise ValueError(f"pool {pool.name}: {common}")
        found.append(pool)
    return tuple(found)


def translate_pool(obj: Mapping[str, Any]) -> DeclaredPool:
    """Return what an AddressPool object asks for, or which field is wrong, and its last good."""
    meta, name = obj["metadata"], obj["metadata"]["name"]
    kept = (obj.get("status") or {}).get("accepted")
    accepted = _declared(name, kept) if kept else None
    return DeclaredPool(
        name,
        meta.get("creationTimestamp", ""),
        _declared(name, obj.get("spec") or {}),
        accepted if isinstance(accepted, AddressPool) else None,
    )


def is_mirror(obj: Mapping[str, Any]) -> bool:
    """Tell whether an AddressPool object only shows a pool of the settings."""
    return bool((obj["metadata"].get("labels") or {}).get(FROM_LABEL) == FROM_SETTINGS)


def mirrors(pools: Sequence[AddressPoolSettings]) -> Mapping[str, dict[str, Any]]:
    """Return the specs of the AddressPools that show the pools of the settings, by name."""
    return {
        entry.name: render_pool(
            entry, PRIORITY + index if entry.priority is None else entry.priority
        )
        for index, entry in enumerate(pools)
    }


def render_pool(entry: AddressPoolSettings, priority: int) -> dict[str, Any]:
    """Return the spec of the AddressPool that mirrors a pool of the settings."""
    spec: dict[str, Any] = entry.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    spec.pop("name", None)
    spec.pop("external", None)
    for field in ("addresses", "staticAddresses", "reserved"):
        if field in spec:
            spec[field] = [_canonical(text) for text in spec[field]]
    # What the API server would fill in is said here, so that what it keeps equals what was sent.
    return (
        {"autoAssign": True, "avoidBuggyIPs": False, "reuseDelaySeconds": 0}
        | spec
        | {"priority": priority}
    )


def _canonical(text: str) -> str:
    """Return a CIDR or range in the one form that the schema of AddressPool takes."""
    block = parse_block(text)
    if "-" in text:
        return f"{block.first}-{block.last}"
    return str(ipaddress.ip_network(text.strip()))


def _declared(name: str, spec: Mapping[str, Any]) -> AddressPool | Refused:
    try:
        # An object's name may have dots, which a pool of the settings may not.
        # And who is asked with which token is not for an object to say.
        plain = {key: value for key, value in spec.items() if key != "external"}
        parsed = AddressPoolSettings.model_validate({**plain, "name": "x"})
        return _pool(parsed, PRIORITY, name=name)
    except pydantic.ValidationError as error:
        return Refused(Reason.POOL_MALFORMED, first_fault(error))
    except ValueError as error:
        return Refused(Reason.POOL_MALFORMED, str(error))


def _pool(entry: AddressPoolSettings, priority: int, name: str = "") -> AddressPool:
    serves = entry.serves
    return AddressPool(
        name=name or entry.name,
        ranges=_ranges("addresses", entry.addresses, parse_range),
        static=_ranges("staticAddresses", entry.static_addresses, parse_range),
        reserved=_ranges("reserved", entry.reserved, parse_block),
        priority=priority if entry.priority is None else entry.priority,
        auto_assign=entry.auto_assign,
        avoid_buggy=entry.avoid_buggy_ips,
        reuse_delay_s=entry.reuse_delay_seconds,
        fence=Fence(
            frozenset(serves.namespaces),
            tuple(selector_of(found) for found in serves.namespace_selectors),
            tuple(selector_of(found) for found in serves.service_selectors),
            serves.exclusive,
        ),
        external=bool(entry.external.url),
    )


def _ranges(
    field: str, texts: Iterable[str], parse: Callable[[str], AddressRange]
) -> tuple[AddressRange, ...]:
    try:
        return tuple(parse(text) for text in texts)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error


def selector_of(found: LabelSelector) -> Selector:
    """Return a label selector as it is written in settings and objects."""
    equal = tuple(
        Requirement(key, "In", frozenset({value})) for key, value in found.match_labels.items()
    )
    further = tuple(
        Requirement(entry.key, entry.operator, frozenset(entry.values))
        for entry in found.match_expressions
    )
    return Selector(equal + further)
