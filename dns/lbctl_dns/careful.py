"""Answer any message step by step: the complete path, of which `wire` is the short cut. Pure.

What a message gets here is what it should get; `wire` must give the same bytes (a property test
compares them). Work is bounded: one pass over at most 128 labels and 32 EDNS options.
"""

from dataclasses import dataclass

from lbctl_dns import edns, lookup, table
from lbctl_dns.table import Table

_HEADER = 12
_QUERY, _NOTIFY, _UPDATE = 0, 4, 5
_MAX_LABEL, _MAX_NAME = 63, 255
_CLASS_IN = b"\0\x01"
_TYPE_OPT = b"\0\x29"


@dataclass(frozen=True, slots=True)
class Transport:
    """How long a reply may be, in bytes."""

    plain: int
    """Without EDNS."""
    ceiling: int
    """With EDNS, whatever the client offers."""

    def limit(self, offered: int) -> int:
        """Return the limit for a client that offers this much by EDNS."""
        return min(max(offered, self.plain), self.ceiling)


@dataclass(frozen=True, slots=True)
class _Question:
    packet: bytes
    end: int
    limit: int
    opt: bytes

    @property
    def head(self) -> int:
        """Return the index into `table.Heads`."""
        return (self.packet[2] & 1) + (2 if self.opt else 0)


def answer(
    known: Table, packet: bytes, transport: Transport, clerk: edns.Clerk, client: str
) -> bytes | None:
    """Return the reply to one message, None where silence is right. Never raises."""
    if len(packet) < _HEADER or packet[2] & 0x80:
        return None  # no reply to a reply: two servers would keep each other busy
    opcode = packet[2] >> 3
    if opcode != _QUERY:
        refusal = lookup.REFUSED if opcode in {_NOTIFY, _UPDATE} else lookup.NOTIMP
        return packet[:2] + bytes((0x80 | opcode << 3, refusal)) + bytes(8)
    end = _end_of_question(packet)
    if end is None or packet[end - 4 : end - 2] == _TYPE_OPT:
        return _form_error(packet)
    limit, opt = transport.plain, b""
    if packet[11]:
        asked = edns.parse(packet[end:])
        if asked is None:
            return _form_error(packet)
        if asked.version:
            return _bad_version(packet, end, asked)
        limit = transport.limit(asked.payload)
        found = clerk.opt(packet[end:], client)
        opt = found[1] if found else b""
    elif len(packet) != end:
        return _form_error(packet)
    return _reply(known, _Question(packet, end, limit, opt))


def _end_of_question(packet: bytes) -> int | None:
    """Return where the one question ends; None for any other number or a malformed name."""
    if packet[4:11] != b"\0\x01\0\0\0\0\0" or packet[11] > 1:
        return None
    at, end = _HEADER, min(len(packet), _HEADER + _MAX_NAME)
    while at < end and 0 < packet[at] <= _MAX_LABEL:
        at += 1 + packet[at]
    if at >= end or packet[at] or at + 5 > len(packet):
        return None
    return at + 5


def _reply(known: Table, asked: _Question) -> bytes:
    question = asked.packet[_HEADER : asked.end]
    if question[-2:] == _CLASS_IN:
        qtype = int.from_bytes(question[-4:-2])
        sections = lookup.resolve(known, question[:-4].lower(), qtype)
    else:
        sections = lookup.Sections(lookup.REFUSED, authoritative=False)
    room = asked.limit - _HEADER - len(question) - len(asked.opt)
    body = [sections.answer, sections.authority, sections.additional]
    if _size(body) > room and not (sections.authority and not sections.authoritative):
        body = body[:2]  # addresses are a courtesy, but for those of a referral (RFC 9471)
    if _size(body) > room:
        heads = table.truncated_heads()
        return asked.packet[:2] + heads[asked.head] + question + asked.opt
    counts = len(body[0]), len(body[1]), len(body[2]) if len(body) > 2 else 0
    heads = table.heads(sections.rcode, counts, 0x04 if sections.authoritative else 0)
    records = b"".join(one for section in body for one in section)
    return asked.packet[:2] + heads[asked.head] + question + records + asked.opt


def _size(body: list[list[bytes]]) -> int:
    return sum(len(one) for section in body for one in section)


def _form_error(packet: bytes) -> bytes:
    return packet[:2] + bytes((0x80 | packet[2] & 1, lookup.FORMERR)) + bytes(8)


def _bad_version(packet: bytes, end: int, asked: edns.Asked) -> bytes:
    # With the question: resolvers behind a proxy match on it (nsd #97).
    start = packet[:2] + bytes((0x80 | packet[2] & 1, lookup.BADVERS & 15))
    opt = edns.render(asked.dnssec_ok, lookup.BADVERS >> 4)
    return start + b"\0\x01\0\0\0\0\0\x01" + packet[12:end] + opt
