"""The NS question and its answers, byte by byte."""

import struct

import pytest

from lbctl.preflight import questions
from lbctl.preflight.facts import Delegation

QUERY = questions.render("lb.example.com.", 7)
QUESTION = QUERY[12:]


def answer(*records: bytes, code: int = 0, number: int = 7, flags: int = 0x8180) -> bytes:
    head = struct.pack("!6H", number, flags | code, 1, len(records), 0, 0)
    return head + QUESTION + b"".join(records)


def record(target: bytes, kind: int = 2) -> bytes:
    return b"\xc0\x0c" + struct.pack("!2HIH", kind, 1, 5, len(target)) + target


def test_the_query_asks_for_ns_with_recursion() -> None:
    assert QUERY[:12] == struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0)
    assert QUESTION == b"\x02lb\x07example\x03com\0\0\x02\0\x01"


def test_names_are_read_with_and_without_pointers() -> None:
    found = questions.parse(answer(record(b"\x03NS2\xc0\x0c"), record(b"\x01a\x01b\0")), 7)
    assert found == Delegation(0, ("a.b", "ns2.lb.example.com"))


def test_other_records_are_passed_over() -> None:
    found = questions.parse(answer(record(b"\x01a\0", kind=5), record(b"\x01b\0")), 7)
    assert found.servers == ("b",)


def test_a_refusal_keeps_its_code() -> None:
    assert questions.parse(answer(code=3), 7) == Delegation(3, ())


BAD = [
    b"",
    answer(number=8),
    answer(flags=0x0100),
    answer(record(b"\x03NS2\xc0\x0c"))[:-3],
    # 32 bytes stand before the record's target: a pointer to there leads to itself.
    answer(record(struct.pack("!H", 0xC000 | (12 + len(QUESTION) + 12)))),
]


@pytest.mark.parametrize("message", BAD)
def test_what_is_no_answer_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        questions.parse(message, 7)
