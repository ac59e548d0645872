"""What users ask for by annotation and by spec.loadBalancerIP: addresses, pool, sharing. Pure."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.model.reasons import Reason, Refused
from lbctl.model.sharing import Sharing
from lbctl.model.virtual_service import Address
from lbctl.translate import annotations as table
from lbctl.translate.annotations import Annotation


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one Service asks for."""

    addresses: Mapping[int, Address] | Refused
    """By family; a refusal when any wish does not parse, or two of them disagree."""
    pool: str
    """Empty: any."""
    sharing: Sharing | None


def read_wishes(
    annotations: Mapping[str, str], spec: Mapping[str, Any], families: tuple[int, ...]
) -> Wishes:
    """Return what a Service of these families asks for."""
    addresses = _addresses(annotations, spec.get("loadBalancerIP") or "", families)
    pool, sharing_key = _one(table.POOL, annotations), _one(table.SHARING_KEY, annotations)
    namespaces = _one(table.SHARING_NAMESPACES, annotations)
    for answer in (pool, sharing_key, namespaces):
        # Nothing is given on half of what was asked: what is held already stays.
        if isinstance(answer, Refused):
            return Wishes(answer, "", None)
    return Wishes(addresses, str(pool), _sharing(str(sharing_key), str(namespaces)))


def _one(annotation: Annotation, annotations: Mapping[str, str]) -> str | Refused:
    said = annotation.said(annotations)
    for key, text in said[1:]:
        if text != said[0][1]:
            return _disagree(annotation, said[0], (key, text))
    return said[0][1] if said else ""


def _sharing(key: str, namespaces: str) -> Sharing | None:
    if not key:
        return None
    parts = (part.strip() for part in namespaces.split(","))
    return Sharing(key, frozenset(filter(None, parts)))


def _addresses(
    annotations: Mapping[str, str], in_spec: str, families: tuple[int, ...]
) -> Mapping[int, Address] | Refused:
    said = [(f"annotation {key}", text) for key, text in table.ADDRESSES.said(annotations)]
    own = table.ADDRESSES.own in annotations and bool(annotations[table.ADDRESSES.own].strip())
    if in_spec and not own:
        said.append((table.ADDRESSES.field, in_spec))
    wanted: dict[int, Address] = {}
    sources: dict[int, str] = {}
    for source, text in said:
        found = _parse(source, text, families)
        if isinstance(found, Refused):
            return found
        for family, address in found.items():
            known = wanted.setdefault(family, address)
            if known != address:
                one = (sources[family], str(known))
                return _disagree(table.ADDRESSES, one, (source, str(address)))
            sources.setdefault(family, source)
    return wanted


def _parse(source: str, text: str, families: tuple[int, ...]) -> dict[int, Address] | Refused:
    wanted: dict[int, Address] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        address = _address(part)
        if address is None:
            return Refused(Reason.ADDRESS_MALFORMED, f"{source}: {part!r} is not an IP address")
        if address.version not in families:
            shown = " and ".join(f"IPv{family}" for family in families)
            return Refused(
                Reason.ADDRESS_WRONG_FAMILY, f"{source}: {part}, but the Service is {shown}"
            )
        if address.version in wanted:
            return Refused(
                Reason.ADDRESS_MALFORMED, f"{source}: two IPv{address.version} addresses"
            )
        wanted[address.version] = address
    return wanted


def _address(text: str) -> Address | None:
    try:
        return None if "%" in text else ipaddress.ip_address(text)  # a zone is no part of a VIP
    except ValueError:
        return None


def _disagree(annotation: Annotation, one: tuple[str, str], other: tuple[str, str]) -> Refused:
    return Refused(
        Reason.ADDRESS_REQUESTS_DISAGREE,
        f"{one[0]} says {one[1]}, {other[0]} says {other[1]}: "
        f"leave one of them, or say it in {annotation.own}",
    )
