"""The counter of what limits refused: what the kernel is asked, and what it tells."""

import struct

import pytest

from lbctl_dataplane.backends.tables import counter as limit_counter
from lbctl_dataplane.rules.tables import counter as nft_counter
from lbctl_dataplane.rules.tables import netlink

COUNT = struct.pack(">Q", 7)


def answer(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHIIBBH", 20 + len(body), kind, 0, 0, 0, 1, 0, 0) + body


def counter(content: bytes) -> bytes:
    return netlink.text_attribute(2, "over") + netlink.attribute(4, content)


@pytest.mark.parametrize(
    ("told", "count"),
    [
        (counter(netlink.attribute(1, COUNT[::-1]) + netlink.attribute(2, COUNT)), 7),
        (counter(b""), 0),
    ],
)
def test_the_packets_of_the_counter_are_told(told: bytes, count: int) -> None:
    assert nft_counter.parse(answer(netlink.NEW_OBJECT, told)) == count


def test_an_error_tells_no_count() -> None:
    assert nft_counter.parse(struct.pack("=IHHIIi", 20, netlink.ERROR, 0, 0, 0, -2)) is None
    assert nft_counter.parse(b"") is None


def test_the_question_names_table_and_counter() -> None:
    asked = nft_counter.question("lbctl-node")
    assert b"lbctl-node\0" in asked
    assert b"over\0" in asked


@pytest.mark.parametrize("backend", ["ovs", "announce-only"])
def test_backends_without_limits_count_nothing(backend: str) -> None:
    assert limit_counter.refused(backend) == {}
