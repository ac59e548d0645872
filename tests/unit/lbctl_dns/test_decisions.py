import ipaddress
from typing import Any

import pytest

import nameserver_builders as nb
from lbctl_dns import decisions, names, publications, zone


def made() -> publications.Publications:
    return publications.Publications(zone.Authority([nb.own_zone()]))


def told(found: publications.Publications, obj: dict[str, Any]) -> zone.Change:
    return found.decided(obj["metadata"]["name"], decisions.parse(decisions.slim(obj)))


def shown(found: publications.Publications) -> dict[str, set[str]]:
    by_name: dict[str, set[str]] = {}
    for one in found.authority.contents():
        if one.rtype != zone.SOA:
            texts = {str(ipaddress.ip_address(rdata)) for rdata in one.rdatas}
            by_name.setdefault(names.to_text(one.name), set()).update(texts)
    return by_name


KUARD = "kuard.default.lb.example."


@pytest.mark.parametrize(
    ("vips", "answers"),
    [
        (["198.18.0.1"], {"198.18.0.1"}),
        (["198.18.0.1", "2001:2::1"], {"198.18.0.1", "2001:2::1"}),
        ([("198.18.0.1", "Current"), ("198.18.0.2", "Incoming")], {"198.18.0.1"}),
        ([("198.18.0.2", "Current"), ("198.18.0.1", "Outgoing")], {"198.18.0.2"}),
        (["198.18.0.1", ("2001:2::2", "Incoming")], {"198.18.0.1"}),
        (["198.18.0.1", ("2001:2::2", "Outgoing")], {"198.18.0.1"}),
    ],
)
def test_names_have_the_current_addresses(
    vips: list[str | tuple[str, str]], answers: set[str]
) -> None:
    found = made()
    told(found, nb.decision("kuard", *vips))
    assert shown(found) == {KUARD: answers}


@pytest.mark.parametrize(
    "obj",
    [
        nb.decision("kuard", "198.18.0.1", published=False),
        nb.decision("kuard", "198.18.0.1", phase="Withdrawn"),
        nb.decision("kuard", ("198.18.0.1", "Outgoing")),
        nb.decision("kuard"),
        nb.decision("kuard", "198.18.0.1", hosts=()),
        nb.decision("kuard", "198.18.0.1", hosts=("kuard.elsewhere.example",)),
        {"metadata": {"name": "default.kuard"}},
    ],
)
def test_what_is_not_published_has_no_name(obj: dict[str, Any]) -> None:
    found = made()
    told(found, nb.decision("kuard", "198.18.0.1"))
    assert told(found, obj).deletes == ((names.to_wire(KUARD), zone.A),)
    assert shown(found) == {}


def test_a_draining_service_keeps_what_the_leader_still_publishes() -> None:
    found = made()
    told(found, nb.decision("kuard", "198.18.0.1", phase="Draining"))
    assert shown(found) == {KUARD: {"198.18.0.1"}}


def test_a_changed_status_changes_nothing() -> None:
    found = made()
    told(found, nb.decision("kuard", "198.18.0.1"))
    obj = nb.decision("kuard", "198.18.0.1") | {"status": {"state": "Up"}}
    assert not told(found, obj)


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ({"vips": [{"address": "198.18.0"}]}, "spec.vips[0].address"),
        ({"vips": ["x"]}, "spec.vips[0].address"),
        ({"names": [{"host": "a..b", "published": True}]}, "spec.names[0]"),
        ({"names": [{"published": True}]}, "spec.names[0]"),
        ({"names": ["x"]}, "spec.names[0]"),
        ({"names": [{"host": "a", "published": True, "ttlSeconds": "x"}]}, "spec.names[0]"),
    ],
)
def test_a_part_that_makes_no_sense_is_named_and_passed_over(
    broken: dict[str, Any], fault: str
) -> None:
    obj = nb.decision("kuard", "198.18.0.1")
    good = nb.decision("kuard", "198.18.0.1")["spec"]
    for key, value in broken.items():
        obj["spec"][key] = [*value, *good[key]]
    parsed = decisions.parse(obj)
    assert parsed.faults[0].startswith(fault)
    assert [names.to_text(host.name) for host in parsed.hosts] == [KUARD]
    assert [str(one) for one in parsed.answers] == ["198.18.0.1"]


def test_a_host_outside_of_our_zones_is_told() -> None:
    obj = nb.decision("kuard", "198.18.0.1", hosts=("kuard.elsewhere.example",))
    told_of = publications.outside(made().authority, decisions.parse(obj))
    assert told_of == ("kuard.elsewhere.example.",)


def test_an_object_deleted_while_live_is_doubt_and_its_names_stay() -> None:
    found = made()
    told(found, nb.decision("kuard", "198.18.0.1"))
    assert not found.deleted("default.kuard")
    assert (found.held, shown(found)) == (("default.kuard",), {KUARD: {"198.18.0.1"}})
    told(found, nb.decision("kuard", "198.18.0.1"))
    assert found.held == ()


def test_a_withdrawn_object_may_go() -> None:
    found = made()
    told(found, nb.decision("kuard", "198.18.0.1", phase="Withdrawn"))
    found.deleted("default.kuard")
    assert (found.held, shown(found)) == ((), {})


@pytest.mark.parametrize(
    ("other", "stays"),
    [
        (nb.decision("other", "198.18.0.1"), False),
        (nb.decision("other", "198.18.0.9", hosts=("kuard.default.lb.example",)), False),
        (nb.decision("other", "198.18.0.9"), True),
        (nb.decision("other", "198.18.0.1", phase="Withdrawn"), True),
    ],
)
def test_held_names_yield_to_whoever_has_the_address_or_the_name(
    other: dict[str, Any], stays: bool
) -> None:
    found = made()
    told(found, nb.decision("kuard", "198.18.0.1", created="2026-01-01T00:00:00Z"))
    found.deleted("default.kuard")
    told(found, other)
    assert (found.held == ("default.kuard",)) is stays
    assert ("198.18.0.1" in shown(found).get(KUARD, set())) is stays


def test_an_address_shared_all_along_does_not_make_names_yield() -> None:
    found = made()
    told(found, nb.decision("kuard", "198.18.0.1"))
    told(found, nb.decision("other", "198.18.0.1"))
    found.deleted("default.kuard")
    told(found, nb.decision("other", "198.18.0.1", "2001:2::5"))
    assert found.held == ("default.kuard",)


def test_who_begins_to_share_an_address_leaves_held_names_alone() -> None:
    found = made()
    told(found, nb.decision("kuard", "198.18.0.1", grant="ip-1"))
    found.deleted("default.kuard")
    told(found, nb.decision("other", "198.18.0.1", grant="ip-1"))
    assert found.held == ("default.kuard",)
    told(found, nb.decision("next", "198.18.0.1", grant="ip-2"))
    assert found.held == ()


def test_held_names_can_be_let_go_and_only_those() -> None:
    found = made()
    told(found, nb.decision("kuard", "198.18.0.1"))
    assert not found.let_go("default.kuard")
    found.deleted("default.kuard")
    assert found.let_go("default.kuard").deletes
    assert not found.deleted("default.unknown")
