"""`lbctl get records` says what the name server answers: both made from the same decisions."""

import datetime
import ipaddress
from typing import Any

import inspect_bed
import nameserver_builders as nb
from lbctl import app
from lbctl.inspection import published, pulse, scene
from lbctl.kube import resources
from lbctl.settings import Settings
from lbctl_dns import configured, decisions, names, publications, zone

WWW = "www.lb.example"
OLD, NEW = "2026-11-21T11:00:00Z", "2026-11-21T12:00:00Z"
SETTINGS = inspect_bed.settings(
    nameservice={"subdomains": ["lb.example"], "nsAddresses": ["192.0.2.53"]},
    addressPools=[{"addresses": ["192.0.2.0/24", "2001:db8::/64"]}],
)
MARKED = inspect_bed.settings(
    nameservice={"subdomains": ["lb.example"], "ownerRecords": True},
    addressPools=[{"addresses": ["192.0.2.0/24", "2001:db8::/64"]}],
)


def decided() -> list[dict[str, Any]]:
    """Return decisions with all that records differ by, two names and an address disputed."""
    shared = {"grant": "one"}
    found = [
        nb.decision("a", "192.0.2.1", "2001:db8::1", ports={"http": 80, "": 81}, created=NEW),
        nb.decision("b", "192.0.2.2", hosts=(WWW, "*.b.lb.example"), created=NEW, **shared),
        nb.decision("c", "192.0.2.2", hosts=("*.c.lb.example", WWW), created=OLD, **shared),
        nb.decision("d", "192.0.2.4", published=False, no_data=True, ports={"http": 80}),
        nb.decision("e", "192.0.2.5", published=False),
        nb.decision("f", "192.0.2.6", phase="Withdrawn"),
        nb.decision("g", ("192.0.2.7", "Current"), ("192.0.2.8", "Incoming")),
        nb.decision("h", "192.0.2.9", hosts=("*.h.lb.example",)),
    ]
    for number, obj in enumerate(found):
        obj["metadata"]["resourceVersion"] = str(number + 1)
        obj["spec"]["name"] = "x"
        for vip in obj["spec"]["vips"]:
            vip["family"] = "IPv6" if ":" in vip["address"] else "IPv4"
    return found


def told(tree: Settings) -> set[tuple[str, str, str]]:
    now = pulse.judge({}, datetime.datetime.now(tz=datetime.UTC), "x")
    lists = {resources.L4_VIRTUAL_SERVICES: tuple(decided())}
    rows = published.listing(scene.scene(lists, app.rules_of(tree), now)).rows
    found = [row.item for row in rows if row.item["published"]]
    return {(str(one["name"]), str(one["type"]), str(one["data"])) for one in found}


def answered(tree: Settings) -> set[tuple[str, str, str]]:
    authority = zone.Authority(configured.zones(tree))
    known = publications.Publications(authority, configured.style(tree))
    fixed = {one.key for one in authority.contents()}
    for obj in decided():
        known.decided(obj["metadata"]["name"], decisions.parse(decisions.slim(obj)))
    return {
        (names.to_text(one.name)[:-1], zone.TYPE_NAMES[one.rtype], text(one.rtype, rdata))
        for one in authority.contents()
        if one.key not in fixed
        for rdata in one.rdatas
    }


def text(rtype: int, rdata: bytes) -> str:
    if rtype in {zone.A, zone.AAAA}:
        return str(ipaddress.ip_address(rdata))
    if rtype == zone.PTR:
        return names.to_text(rdata)[:-1]
    if rtype == zone.TXT:
        return f'"{rdata[1:].decode()}"'
    numbers = [int.from_bytes(rdata[at : at + 2]) for at in (0, 2, 4)]
    return " ".join((*map(str, numbers), names.to_text(rdata[6:])[:-1]))


def test_what_is_told_is_what_is_answered() -> None:
    assert told(SETTINGS) == answered(SETTINGS)
    assert {kind for _, kind, _ in told(SETTINGS)} == {"A", "AAAA", "SRV", "TXT", "PTR"}


def test_owner_records_are_told_where_the_setting_has_them() -> None:
    assert told(MARKED) == answered(MARKED)
    assert len(told(MARKED)) > len(told(SETTINGS))
