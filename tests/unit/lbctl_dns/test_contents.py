"""Which records one L4VirtualService stands for."""

import ipaddress
from typing import Any

import pytest

import nameserver_builders as nb
from lbctl.model.virtual_service import VirtualService, parse_virtual_service
from lbctl_dns import contents, decisions, names, publications, zone

MARKED = contents.Style("lab", owner_records=True)
KUARD = "kuard.default.lb.example"


def records(obj: dict[str, Any], style: contents.Style = contents.PLAIN) -> list[str]:
    """Return the sets as `<name> <type>`, without final dots."""
    decision = decisions.parse(decisions.slim(obj))
    assert decision.faults == ()
    found = contents.record_sets(decision, style)
    return [f"{names.to_text(one.name)[:-1]} {zone.TYPE_NAMES[one.rtype]}" for one in found]


def only(obj: dict[str, Any], rtype: int, style: contents.Style = MARKED) -> zone.RecordSet:
    found = contents.record_sets(decisions.parse(obj), style)
    (one,) = (entry for entry in found if entry.rtype == rtype)
    return one


def test_a_service_has_addresses_and_their_names() -> None:
    assert records(nb.decision("kuard", "192.0.2.10", "2001:2::a")) == [
        f"{KUARD} A",
        f"{KUARD} AAAA",
        "10.2.0.192.in-addr.arpa PTR",
        ipaddress.ip_address("2001:2::a").reverse_pointer + " PTR",
    ]


def test_a_named_port_has_an_srv_record_with_port_and_target() -> None:
    found = only(nb.decision("kuard", "192.0.2.10", ports={"http": 8080}), zone.SRV)
    assert names.to_text(found.name) == f"\\_http.\\_tcp.{KUARD}.".replace("\\", "")
    assert found.rdatas == (b"\0\0\0\0" + (8080).to_bytes(2) + names.to_wire(KUARD),)


def test_ports_without_a_name_and_wildcards_have_no_srv_record() -> None:
    assert not any("SRV" in line for line in records(nb.decision("kuard", "192.0.2.10")))
    wild = nb.decision("kuard", "192.0.2.10", hosts=("*.lb.example",), ports={"http": 80})
    assert records(wild) == ["*.lb.example A"]


@pytest.mark.parametrize("name", ["p" * 63, "p" * 62])
def test_a_port_name_that_leaves_no_room_costs_only_itself(name: str) -> None:
    found = records(nb.decision("kuard", "192.0.2.10", ports={name: 80, "http": 81}))
    assert sum(line.endswith("SRV") for line in found) == (1 if len(name) == 63 else 2)


def test_the_pointer_is_to_the_first_name_that_is_no_wildcard() -> None:
    hosts = ("*.lb.example", "www.lb.example", KUARD)
    found = only(nb.decision("kuard", "192.0.2.10", hosts=hosts), zone.PTR)
    assert found.rdatas == (names.to_wire("www.lb.example"),)


def test_an_owner_record_names_cluster_and_service() -> None:
    found = only(nb.decision("kuard", "192.0.2.10"), zone.TXT)
    text = b"heritage=lbctl,lbctl/cluster=lab,lbctl/service=default/kuard"
    assert found.rdatas == (bytes((len(text),)) + text,)


def test_a_text_that_is_too_long_for_one_string_is_two() -> None:
    obj = nb.decision("kuard", "192.0.2.10")
    found = only(obj, zone.TXT, contents.Style("c" * 300, owner_records=True))
    (rdata,) = found.rdatas
    assert rdata[0] == 255
    assert len(rdata) == 256 + 1 + rdata[256]


@pytest.mark.parametrize("style", [contents.PLAIN, MARKED])
def test_a_name_without_data_has_its_owner_record_alone(style: contents.Style) -> None:
    empty = nb.decision("k", "192.0.2.10", published=False, no_data=True, ports={"http": 1})
    assert records(empty, style) == ["k.default.lb.example TXT"]


def test_what_is_published_and_without_data_is_published() -> None:
    assert "k.default.lb.example A" in records(nb.decision("k", "192.0.2.10", no_data=True))


def test_a_decision_that_is_no_service_marks_its_own_name() -> None:
    obj = nb.decision("kuard", "192.0.2.10")
    del obj["spec"]["service"]
    assert decisions.parse(obj).owner == "default/kuard"


def test_listeners_that_make_no_sense_are_faults() -> None:
    obj = nb.decision("kuard", "192.0.2.10")
    obj["spec"]["listeners"] = [{"name": "http"}, None, {"name": "a", "protocol": "TCP", "port": 1}]
    found = decisions.parse(obj)
    assert [port.name for port in found.ports] == ["a"]
    assert [fault.partition(":")[0] for fault in found.faults] == [
        "spec.listeners[0]",
        "spec.listeners[1]",
    ]


def test_of_two_that_share_an_address_the_older_one_has_its_pointer() -> None:
    origin = names.to_wire("2.0.192.in-addr.arpa")
    authority = zone.Authority([nb.own_zone(), zone.Zone(origin, nb.SOA, ())])
    known = publications.Publications(authority)
    pointer = names.to_wire("10.2.0.192.in-addr.arpa"), zone.PTR

    def target() -> str:
        (one,) = (one for one in authority.contents() if one.key == pointer)
        return names.to_text(one.rdatas[0])

    for created, name in (("2026-11-21T12:00:00Z", "b"), ("2026-11-21T11:00:00Z", "a")):
        obj = nb.decision(name, "192.0.2.10", created=created, grant="one")
        known.decided(f"default.{name}", decisions.parse(obj))
        assert target() == f"{name}.default.lb.example."
    known.decided("default.a", decisions.parse(nb.decision("a", "192.0.2.10", phase="Withdrawn")))
    assert target() == "b.default.lb.example."


def test_the_leaders_form_of_a_decision_is_the_one_that_is_read() -> None:
    obj = nb.decision("kuard", "192.0.2.10", ports={"http": 80})
    obj["spec"] |= {"name": "x"}
    written: VirtualService = parse_virtual_service(obj)
    read = decisions.parse(obj)
    assert [names.to_wire(name.host) for name in written.names] == [h.name for h in read.hosts]
    assert [(p.name, p.protocol, p.port) for p in written.listeners] == [
        (port.name, port.protocol, port.number) for port in read.ports
    ]
