"""The kernel's count of rule set changes, as it comes over netlink."""

import pytest

from lbctl.model import errors
from lbctl_dataplane.backends.tables import generation

ANSWER = bytes.fromhex(
    "300000000f0a000001000000d110000000000001080001000000000108000200000010d10b000300707974686f6e0000"
)
"""Of a real kernel (6.18), asked by a process named python."""
REFUSAL = bytes.fromhex("2400000002000000" + "01000000d1100000" + "ffffffff" + "00" * 16)


def test_the_count_is_read_from_a_real_answer() -> None:
    assert generation.parse(ANSWER) == 1


@pytest.mark.parametrize("count", [0, 1, 2**31, 2**32 - 1])
def test_the_count_is_big_endian(count: int) -> None:
    at = ANSWER.index(bytes.fromhex("0800010000000001")) + 4
    assert generation.parse(ANSWER[:at] + count.to_bytes(4) + ANSWER[at + 4 :]) == count


@pytest.mark.parametrize("answer", [REFUSAL, ANSWER[:20], ANSWER[:20] + bytes(8)])
def test_an_answer_without_a_count_is_refused(answer: bytes) -> None:
    with pytest.raises(errors.Unavailable, match="nftables generation"):
        generation.parse(answer)


@pytest.mark.parametrize("before", [0, 7, 2**32 - 1])
def test_our_own_transaction_is_not_of_others_also_where_the_count_wraps(before: int) -> None:
    counts = iter((before, (before + 1) % 2**32, (before + 2) % 2**32))
    others = generation.Others(lambda: next(counts))
    known = others.count()
    others.made(1)
    assert others.count() == known
    assert others.count() != known


def test_a_transaction_that_nobody_told_of_is_of_others() -> None:
    counts = iter((7, 7, 8))
    others = generation.Others(lambda: next(counts))
    known = others.count()
    assert others.count() == known
    assert others.count() != known
