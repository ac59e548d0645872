"""Limits of places: what nft is told, and what the kernel tells of it."""

import struct

import pytest

from lbctl.model.policy import Limits
from lbctl_dataplane.rules.nft import limits as nft_limits


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def expression(name: bytes, *numbers: tuple[int, int, int]) -> bytes:
    """Return an expression as the kernel tells it; numbers are (kind, bytes, value)."""
    content = b"".join(attribute(kind, value.to_bytes(size)) for kind, size, value in numbers)
    return attribute(1, name + b"\0") + attribute(2, content)


def rate(value: int, burst: int, *, unit: int = 1, kind: int = 0, over: int = 1) -> bytes:
    numbers = ((1, 8, value), (2, 8, unit), (3, 4, burst), (4, 4, kind), (5, 4, over))
    return expression(b"limit", *numbers)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(), {}),
        (Limits(connections=9), {"counts": "ct count over 9"}),
        (Limits(connections_per_s=100), {"rates": "limit rate over 100/second burst 100 packets"}),
        # nft does not print the burst that is usual.
        (Limits(connections_per_s=5), {"rates": "limit rate over 5/second"}),
        # The kernel refuses a rate that leaves no time between two packets.
        (Limits(connections_per_s=2**31 - 1), {}),
    ],
)
def test_what_a_place_takes_at_most_is_told_to_nft(limits: Limits, told: dict[str, str]) -> None:
    assert dict(nft_limits.words(limits)) == told


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        (Limits(connections=9), expression(b"connlimit", (1, 4, 9), (2, 4, 1))),
        (Limits(connections_per_s=100), rate(100, 100)),
        (Limits(connections_per_s=5), rate(5, 5)),
    ],
)
def test_the_kernel_tells_the_same(limits: Limits, found: bytes) -> None:
    ((_, words),) = nft_limits.words(limits)
    assert nft_limits.parse(found) == words


@pytest.mark.parametrize(
    "found",
    [
        b"",
        expression(b"counter", (1, 8, 0)),
        expression(b"connlimit", (1, 4, 9), (2, 4, 0)),
        rate(100, 100, over=0),
        rate(100, 100, unit=60),
        rate(100, 100, kind=1),
    ],
    ids=["nothing", "a counter", "up to", "within", "a minute", "bytes"],
)
def test_what_we_never_write_is_another_limit(found: bytes) -> None:
    assert nft_limits.parse(found) == nft_limits.OTHER
