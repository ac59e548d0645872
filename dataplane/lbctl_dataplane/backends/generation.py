"""The kernel's count of rule set changes in this network namespace (NFT_MSG_GETGEN).

Every nftables transaction of anybody raises it by one. While it stands no table has changed, and
asking costs microseconds where listing a table of thousands of elements costs a second.
"""

import socket
import struct

from lbctl.model import errors

_NETFILTER = 12
_SUBSYSTEM, _GET, _NEW = 10 << 8, 16, 15
_REQUEST = 1
_ID = 1
_HEADER, _FAMILY, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBH"), struct.Struct("=HH")
_LONGEST = 8192
"""Bytes of an answer: it is a message of about fifty."""
_WRAPS = 1 << 32


def read() -> int:
    """Return the count. Raises Unavailable when the kernel does not tell."""
    length = _HEADER.size + _FAMILY.size
    request = _HEADER.pack(length, _SUBSYSTEM | _GET, _REQUEST, 0, 0) + _FAMILY.pack(0, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as kernel:
            kernel.send(request)
            return parse(kernel.recv(_LONGEST))
    except OSError as error:
        raise errors.Unavailable(
            f"nftables generation: {error.strerror}; does the agent have CAP_NET_ADMIN?"
        ) from error


def parse(answer: bytes) -> int:
    """Return the count of one answer. Raises Unavailable when it is none."""
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    at = _HEADER.size + _FAMILY.size
    while kind == _SUBSYSTEM | _NEW and at < len(answer):
        length, attribute = _ATTRIBUTE.unpack_from(answer, at)
        if attribute == _ID:
            return int.from_bytes(answer[at + _ATTRIBUTE.size : at + length])
        at += max(length + 3 & ~3, _ATTRIBUTE.size)
    raise errors.Unavailable(f"nftables generation: the kernel answered {answer[:64].hex()}")


def follows(after: int, before: int) -> bool:
    """Tell whether exactly one transaction lies between two counts."""
    return after == (before + 1) % _WRAPS
