"""Our table as the kernel tells of it, in bytes of a real kernel (6.18) and in some made up."""

import ipaddress
import struct

import pytest

from lbctl_dataplane.rules.nft.layout import TABLE
from lbctl_dataplane.rules.tables import netlink, wire
from lbctl_dataplane.rules.tables.elements import Element, Ends
from lbctl_dataplane.rules.tables.found import Found

RULE = bytes.fromhex(
    "0f0001006c6263746c2d6e6f646500000b00020072656675736500000c00030000000000000000"
    "1d1700070000116234323365386638306235653231326100"
)
PORT = (80).to_bytes(2) + bytes(2)
TCP = b"\x06\0\0\0"


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def element(key: bytes, end: bytes = b"", key_end: bytes = b"") -> bytes:
    parts = ((1, key), (2, end), (10, key_end))
    return attribute(1, b"".join(attribute(k, attribute(1, v)) for k, v in parts if v))


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def taken(home: str, *elements: bytes) -> dict[Element, Ends] | None:
    """Return what is read of a table that is as we make it and has these elements in one place."""
    found = Found(TABLE)
    for chain, marks in TABLE.marks.items():
        found.chain(chain)
        for mark in marks:
            found.rule(chain, mark)
    for name in TABLE.homes:
        found.home(name)
    wire.take_elements(found, wire.home(TABLE, home), attribute(3, b"".join(elements)))
    return found.elements()


def test_a_rule_of_a_real_kernel_is_told_by_its_comment() -> None:
    found = Found(TABLE)
    wire.take_rule(found, RULE)
    assert found.marks() == {"refuse": ("b423e8f80b5e212a",)}


def test_a_rule_without_a_comment_is_one() -> None:
    found = Found(TABLE)
    wire.take_rule(found, attribute(2, b"vip4\0") + attribute(7, b"\x01\x02ab"))
    assert found.marks() == {"vip4": ("",)}


def test_chains_of_other_tables_and_sets_of_single_rules_are_none_of_ours() -> None:
    found = Found(TABLE)
    wire.take_chain(found, attribute(1, b"proxy\0") + attribute(3, b"services\0"))
    wire.take_chain(found, attribute(1, b"lbctl-node\0") + attribute(3, b"guard\0"))
    wire.take_home(found, attribute(2, b"__set0\0") + attribute(3, (3).to_bytes(4)))
    assert found.marks() == {"guard": ()}
    assert found.elements() is None


def test_members_of_sets() -> None:
    name = b"svc0".ljust(16, b"\0")
    assert taken("fabric", element(name)) == {Element("fabric", "svc0"): ()}
    assert taken("vips6", element(packed("::ffff:192.0.2.1"))) == {
        Element("vips6", "::ffff:c000:201"): ()
    }


def test_a_place_with_one_end() -> None:
    at = packed("198.18.0.1") + TCP + PORT
    end = packed("10.0.0.1") + (8080).to_bytes(2) + bytes(2)
    assert taken("single4", element(at, end)) == {
        Element("ends4", "198.18.0.1 . 6 . 80"): ("10.0.0.1 . 8080",)
    }


def test_a_place_that_remembers_clients() -> None:
    number = struct.pack("=I", 0xC800_0010)
    at = packed("198.18.0.1") + TCP + PORT
    assert taken("numbered4", element(at, number)) == {
        Element("numbered4", "198.18.0.1 . 6 . 80"): ("c800:10",)
    }
    verdict = attribute(1, struct.pack("!i", -4)) + attribute(2, b"keep4x60\0")
    member = number + packed("10.0.0.1") + PORT
    assert taken("idle4", element(member, verdict)) == {
        Element("idle4", "c800:10 . 10.0.0.1 . 80"): ("goto keep4x60",)
    }


def test_a_place_that_leads_to_a_meter() -> None:
    verdict = attribute(1, struct.pack("!i", -3)) + attribute(2, b"atmost4x9\0")
    assert taken("perclient4", element(packed("198.18.0.1") + TCP + PORT, verdict)) == {
        Element("perclient4", "198.18.0.1 . 6 . 80"): ("jump atmost4x9",)
    }


def test_slots_of_a_place_in_any_order_and_those_that_lack() -> None:
    at = packed("2001:2::1") + TCP + PORT
    ends = [packed(f"fd00::{n}") + PORT for n in (1, 2)]
    elements = [element(at + struct.pack("=I", slot), ends[slot % 2]) for slot in (5, 2)]
    (found,) = (taken("slots6x23", *elements) or {}).items()
    assert found[0] == Element("ends6", "2001:2::1 . 6 . 80")
    assert [(slot, end) for slot, end in enumerate(found[1]) if end] == [
        (2, "fd00::1 . 80"),
        (5, "fd00::2 . 80"),
    ]
    assert len(found[1]) == 23


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("10.0.0.0", "10.255.255.255", "10.0.0.0/8"),
        ("0.0.0.0", "255.255.255.255", "0.0.0.0/0"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.1-10.0.0.2"),
        ("10.0.0.0", "10.0.0.2", "10.0.0.0-10.0.0.2"),
        ("10.0.0.4", "10.0.0.11", "10.0.0.4-10.0.0.11"),
    ],
)
def test_ranges_are_networks_where_they_can_be(first: str, last: str, words: str) -> None:
    at = packed("198.18.0.1") + TCP + PORT
    found = taken("sources4", element(at + packed(first), b"", at + packed(last)))
    assert found == {Element("sources4", f"198.18.0.1 . 6 . 80 . {words}"): ()}


def test_every_set_of_ours_can_be_read() -> None:
    for name in TABLE.homes:
        assert wire.home(TABLE, name).key


def test_an_answer_that_was_cut_off_ends() -> None:
    asked = netlink.request(netlink.GET_SET, wire.attribute_of(TABLE))
    assert [message.kind for message in netlink.messages(asked)] == [netlink.GET_SET]
    assert list(netlink.attributes(b"\0\0\0\0" * 3)) == [(0, b"")] * 3
