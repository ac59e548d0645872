"""Changes of elements as transactions over netlink."""

import struct

import pytest

import nft_kernel
from lbctl_dataplane.rules.nft.layout import TABLE
from lbctl_dataplane.rules.tables import batch as nft_batch
from lbctl_dataplane.rules.tables import netlink
from lbctl_dataplane.rules.tables.elements import Element, Moves, Table

PLACE, SIX = "198.18.0.1 . 6 . 80", "2001:2::1 . 17 . 53"
ACKNOWLEDGE = 4


def coming(home: str, key: str, end: str = "") -> Moves:
    return Moves((), ((Element(home, key), end),))


def encoded(moves: Moves, table: Table = TABLE) -> bytes:
    batch = nft_batch.encode(table, moves)
    assert batch is not None
    return batch


@pytest.mark.parametrize(
    ("home", "key", "end"),
    [
        ("vips4", "198.18.0.1", ""),
        ("vips6", "2001:2::1", ""),
        ("vacant6", SIX, ""),
        ("single4", PLACE, "10.0.0.1 . 8080"),
        ("fabric", "svc0", ""),
        ("ways4", PLACE, "goto by4x23"),
        ("numbered4", PLACE, "1bc7:1"),
        ("idle4", "1bc7:1 . 10.0.0.1 . 8080", "goto keep4x60"),
        ("slots4x23", f"{PLACE} . 22", "10.0.0.1 . 8080"),
        ("slots6x2039", f"{SIX} . 2038", "fd00::1 . 65535"),
    ],
)
def test_what_is_said_is_read_again(home: str, key: str, end: str) -> None:
    batch = encoded(coming(home, key, end))
    assert list(nft_kernel.changes_in(batch, TABLE)) == [("add", home, [(key, end)])]


def test_marks_are_numbers_as_nft_writes_them() -> None:
    ways = Table("netdev ways", {"ways4": "map {} {{ type mark : ipv4_addr; }}"}, {})
    batch = encoded(coming("ways4", "0x0000001b", "172.31.241.6"), ways)
    assert list(nft_kernel.changes_in(batch, ways)) == [
        ("add", "ways4", [("0x0000001b", "172.31.241.6")])
    ]


def test_what_goes_goes_before_what_comes() -> None:
    entry = Element("single4", PLACE)
    batch = encoded(Moves((entry,), ((entry, "10.0.0.2 . 8080"),)))
    assert list(nft_kernel.changes_in(batch, TABLE)) == [
        ("delete", "single4", [(PLACE, "")]),
        ("add", "single4", [(PLACE, "10.0.0.2 . 8080")]),
    ]


def test_elements_beyond_the_room_of_a_message_come_in_another_one() -> None:
    slots = tuple((Element("slots6x2039", f"{SIX} . {n}"), "fd00::1 . 80") for n in range(2039))
    changes = list(nft_kernel.changes_in(encoded(Moves((), slots)), TABLE))
    assert [len(listed) for _, _, listed in changes] == [500, 500, 500, 500, 39]


def test_the_kernel_is_asked_for_its_word_about_the_last_change_alone() -> None:
    moves = Moves((Element("vips4", "198.18.0.1"),), ((Element("vips6", "2001:2::1"), ""),))
    asked = [bool(one.flags & ACKNOWLEDGE) for one in netlink.messages(encoded(moves))]
    assert asked == [False, False, True, False]


@pytest.mark.parametrize(
    ("home", "key", "end"),
    [
        ("sources4", f"{PLACE} . 10.0.0.0/8", ""),
        ("returning", "ipv4", ""),
        ("ways4", PLACE, "accept"),
        (min(TABLE.limited), PLACE, "ct count over 5"),
        ("vips4", "2001:2::1", ""),
        ("vips4", "198.18.0.0/24", ""),
    ],
)
def test_what_only_nft_knows_is_left_to_it(home: str, key: str, end: str) -> None:
    both = coming("vips4", "198.18.0.1").coming + coming(home, key, end).coming
    assert nft_batch.encode(TABLE, Moves((), both)) is None


def told(number: int) -> bytes:
    """Return the kernel's word about one change, as an error number."""
    return (
        struct.pack("=IHHII", 36, netlink.ERROR, 0, 0, 0) + struct.pack("=i", -number) + bytes(16)
    )


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [(told(0), 0), (told(2) + told(0), 2), (told(0) + told(17), 17), (b"", None)],
    ids=["taken", "one refused", "the last one refused", "nothing said"],
)
def test_one_refusal_is_the_answer_to_all(answer: bytes, refusal: int | None) -> None:
    assert netlink.refusal(answer) == refusal
