"""Messages of nfnetlink about nftables, as bytes: what to ask and what was answered. Pure.

Source: linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FAMILY_ANY, FAMILY_INET = 0, 1
FAMILIES = {"inet": FAMILY_INET, "netdev": 5}
_SUBSYSTEM = 10 << 8
GET_CHAIN, GET_RULE, GET_SET, GET_ELEMENTS = (_SUBSYSTEM | kind for kind in (4, 7, 10, 13))
NEW_ELEMENTS, DELETE_ELEMENTS = (_SUBSYSTEM | kind for kind in (12, 14))
NEW_OBJECT, GET_OBJECT = _SUBSYSTEM | 18, _SUBSYSTEM | 19
NEW_GENERATION, GET_GENERATION = _SUBSYSTEM | 15, _SUBSYSTEM | 16
ERROR, DONE = 2, 3
INTERRUPTED = 0x10
"""NLM_F_DUMP_INTR: somebody's transaction fell into a listing."""

_REQUEST, _ACKNOWLEDGE, _DUMP, _CREATE = 1, 4, 0x300, 0x400
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_HEADER, _FAMILY, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBH"), struct.Struct("=HH")
NESTED = 0x8000
_KIND = 0x3FFF
"""Of an attribute's type: the rest says that it is nested or big-endian."""
_LONGEST = (1 << 16) - 1 - _ATTRIBUTE.size


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an answer."""

    kind: int
    """`ERROR`, `DONE`, or what it is about, such as `NEW_GENERATION`."""
    flags: int
    body: bytes
    """Attributes; of an `ERROR` or `DONE` the negative error number before anything else."""

    @property
    def error(self) -> int:
        """Return the error number of an `ERROR` or `DONE`; 0 when there was none."""
        return -int(struct.unpack_from("=i", self.body)[0]) if len(self.body) >= 4 else 0


def request(kind: int, *attributes: bytes, family: int = FAMILY_INET, whole: bool = True) -> bytes:
    """Return a question, for a list of all there is (`whole`) or for one thing."""
    body = _FAMILY.pack(family, 0, 0) + b"".join(attributes)
    flags = _REQUEST | (_DUMP if whole else 0)
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body


def batch(changes: Sequence[tuple[int, bytes]], family: int) -> bytes:
    """Return one transaction of changes, each a kind with its attributes.

    Of the last one the kernel says that it was taken; of each that was not, why.
    """
    last = len(changes) - 1
    made = (
        _change(kind, body, family, _ACKNOWLEDGE if place == last else 0)
        for place, (kind, body) in enumerate(changes)
    )
    return b"".join((_frame(_BATCH_BEGIN), *made, _frame(_BATCH_END)))


def _change(kind: int, body: bytes, family: int, flags: int) -> bytes:
    create = _CREATE if kind == NEW_ELEMENTS else 0
    size = _HEADER.size + _FAMILY.size + len(body)
    header = _HEADER.pack(size, kind, _REQUEST | create | flags, 0, 0)
    return header + _FAMILY.pack(family, 0, 0) + body


def _frame(kind: int) -> bytes:
    """Return what a transaction begins or ends with: it names its subsystem in network order."""
    size = _HEADER.size + _FAMILY.size
    return _HEADER.pack(size, kind, _REQUEST, 0, 0) + bytes(2) + (_SUBSYSTEM >> 8).to_bytes(2)


def attribute(kind: int, value: bytes) -> bytes:
    """Return bytes as an attribute. Raises ValueError for more than one can hold."""
    if len(value) > _LONGEST:
        raise ValueError(f"an attribute of {len(value)} bytes, of {_LONGEST} at most")
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def text_attribute(kind: int, text: str) -> bytes:
    """Return a text as an attribute."""
    return attribute(kind, text.encode() + b"\0")


def messages(answer: bytes) -> Iterator[Message]:
    """Yield the messages of what one `recv` returned."""
    at = 0
    while at + _HEADER.size <= len(answer):
        length, kind, flags, _, _ = _HEADER.unpack_from(answer, at)
        start = at + _HEADER.size + (_FAMILY.size if kind & _SUBSYSTEM else 0)
        yield Message(kind, flags, answer[start : at + length])
        at += max(length + 3 & ~3, _HEADER.size)


def refusal(answer: bytes) -> int | None:
    """Return the first error number of an answer, 0 where all was taken; None: it does not say."""
    told = [message.error for message in messages(answer) if message.kind == ERROR]
    return next(filter(None, told), 0) if told else None


def attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the attributes of a message, or of one that is nested in another."""
    at = 0
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        yield kind & _KIND, body[at + _ATTRIBUTE.size : at + length]
        at += max(length + 3 & ~3, _ATTRIBUTE.size)
