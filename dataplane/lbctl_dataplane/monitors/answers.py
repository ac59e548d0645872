"""HTTP as a monitor speaks it: one request, and what of the answer counts. Pure.

Source: RFC 9112. A client of its own, because one of a library costs the agent more memory than
all members, and a monitor needs neither redirects nor cookies nor a second request.
"""

import re

from lbctl.model.monitors import Failure, Monitor
from lbctl.model.virtual_service import Address

BODY_BYTES = 65536
"""What of a body is looked at."""
CHUNKS = 1024
"""Chunks that are read: a member that sends single bytes must not keep the agent busy."""
END_OF_LINE, END_OF_HEAD = b"\r\n", b"\r\n\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*\bchunked[ \t]*\r\n", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")


def authority(address: Address, port: int) -> str:
    """Return `address:port` as in a URL."""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def request(monitor: Monitor, address: Address, port: int) -> bytes:
    """Return the request; the server is asked to close, so that the answer's end is its end."""
    return (
        f"GET {monitor.path} HTTP/1.1\r\n"
        f"Host: {monitor.host or authority(address, port)}\r\n"
        "User-Agent: lbctl\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    ).encode("ascii")


def code_of(head: bytes) -> int | None:
    """Return the code of an answer's head, None when it is not HTTP/1."""
    found = _STATUS_LINE.match(head)
    return int(found[1]) if found else None


def is_good(code: int, monitor: Monitor) -> bool:
    """Tell whether a code counts as good."""
    return any(low <= code <= high for low, high in monitor.codes)


def length_of(head: bytes) -> int | None:
    """Return how long the body says it is; None: it ends where the connection does."""
    found = _LENGTH.search(head)
    return int(found[1]) if found else None


def is_chunked(head: bytes) -> bool:
    """Tell whether the body comes in chunks."""
    return _CHUNKED.search(head) is not None


def chunk_size(line: bytes) -> int:
    """Return the size that the line before a chunk tells; 0 for the last one.

    Raises ValueError on what is no such line.
    """
    found = _CHUNK_SIZE.fullmatch(line)
    if found is None:
        raise ValueError("not the size of a chunk")
    return int(found[1], 16)


def verdict(monitor: Monitor, head: bytes, content: bytes) -> Failure | None:
    """Return what is wrong with an answer; None: it is good."""
    code = code_of(head)
    if code is None:
        return Failure.WRONG_ANSWER
    if not is_good(code, monitor):
        return Failure.WRONG_CODE
    if monitor.body.encode() not in content:
        return Failure.WRONG_BODY
    return None
