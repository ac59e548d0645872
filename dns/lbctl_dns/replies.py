"""Read any server's reply, its records as text for people. Pure; a hostile reply costs little.

Not dnslib: compression pointers that lead to each other cost it up to a second. Here a name has at
most `MAX_STEPS` labels and pointers, each pointer further to the front, and at most 255 bytes.
"""

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from lbctl_dns import lookup, message, names, zone
from lbctl_dns.message import Malformed

TYPE_NAMES = {**zone.TYPE_NAMES, zone.SOA: "SOA", zone.MX: "MX", zone.DS: "DS", zone.ANY: "ANY"}
TYPES = {text: rtype for rtype, text in TYPE_NAMES.items()}
MAX_STEPS = 2 * 128
"""Labels and pointers of one name: 127 labels, each with a pointer behind it, are the most."""
_OPT = 41
_FLAGS = (
    (0x8000, "qr"), (0x0400, "aa"), (0x0200, "tc"), (0x0100, "rd"),
    (0x0080, "ra"), (0x0020, "ad"), (0x0010, "cd"),
)  # fmt: skip
_FIXED = struct.Struct(">HHIH")
_SOA_TIMES, _SRV_START, _MX_START = struct.Struct(">5I"), struct.Struct(">3H"), struct.Struct(">H")


@dataclass(frozen=True, slots=True)
class Record:
    """One record as a person reads it."""

    name: str
    ttl_s: int
    rtype: int
    content: str
    """What a zone file has behind the type."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said."""

    number: bytes
    """The query's: two bytes."""
    question: bytes
    """Name, type and class as they came back; empty where there is none."""
    rcode: int
    """With the upper bits of the OPT record."""
    flags: tuple[str, ...]
    answer: tuple[Record, ...]
    authority: tuple[Record, ...]
    additional: tuple[Record, ...]
    """Without the OPT record."""

    @property
    def status(self) -> str:
        """Return the rcode's name."""
        return lookup.rcode_name(self.rcode)

    @property
    def is_truncated(self) -> bool:
        """Tell whether the reply did not fit."""
        return "tc" in self.flags


def type_name(rtype: int) -> str:
    """Return a record type's name.

    >>> type_name(28), type_name(65)
    ('AAAA', 'TYPE65')
    """
    return TYPE_NAMES.get(rtype, f"TYPE{rtype}")


def parse_type(text: str) -> int:
    """Return the record type of that name, or of a `TYPE65`. Raises ValueError.

    >>> parse_type("aaaa"), parse_type("TYPE65")
    (28, 65)
    """
    known = TYPES.get(text.upper())
    number = text.upper().removeprefix("TYPE")
    if known is None and not (number.isascii() and number.isdigit() and 0 < int(number) < 65536):
        raise ValueError(f"{text!r} is no record type: {', '.join(TYPES)} or TYPE<number>")
    return known if known is not None else int(number)


def parse(packet: bytes) -> Reply:
    """Return what a reply with at most one question says. Raises Malformed."""
    if len(packet) < message.HEADER or not packet[2] & 0x80:
        raise Malformed("no reply")
    flags, *counts = struct.unpack_from(">5H", packet, 2)
    reader = _Reader(packet)
    question = reader.question(counts[0])
    sections = [tuple(reader.records(count)) for count in counts[1:]]
    reader.end()
    upper = [ttl_s >> 24 for rtype, ttl_s in reader.options if rtype == _OPT]
    return Reply(
        packet[:2],
        question,
        (upper[0] << 4 if upper else 0) | flags & 15,
        tuple(name for mask, name in _FLAGS if flags & mask),
        *sections,
    )


class _Reader:
    """Goes through one message, never back."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self._at = message.HEADER
        self.options: list[tuple[int, int]] = []
        """Type and TTL of what is no record: OPT."""

    def question(self, count: int) -> bytes:
        """Return the one question, nothing where there is none."""
        if count > 1:
            raise Malformed(f"{count} questions")
        if not count:
            return b""
        _, end = self.name(self._at)
        self._at = end + 4
        if self._at > len(self._packet):
            raise Malformed("the question is cut")
        return self._packet[message.HEADER : self._at]

    def end(self) -> None:
        """Raise Malformed unless all was read."""
        if self._at != len(self._packet):
            raise Malformed("does not end where it says")

    def records(self, count: int) -> Iterator[Record]:
        for _ in range(count):
            owner, fixed = self.name(self._at)
            rtype, _, ttl_s, length = self._unpack(_FIXED, fixed)
            start = fixed + _FIXED.size
            self._at = start + length
            if self._at > len(self._packet):
                raise Malformed("a record is cut")
            if rtype == _OPT:
                self.options.append((rtype, ttl_s))
            else:
                yield Record(names.to_text(owner), ttl_s, rtype, self._content(rtype, start))

    def name(self, at: int) -> tuple[bytes, int]:
        """Return the name that starts there, as it is written, and where what follows begins."""
        packet, front, size, after = self._packet, at, 1, -1
        labels: list[bytes] = []
        for _ in range(MAX_STEPS):
            length = packet[at] if at < len(packet) else -1
            if length == 0:
                return b"".join(labels) + names.ROOT, at + 1 if after < 0 else after
            if 0 < length <= names.MAX_LABEL and size + 1 + length <= names.MAX_NAME:
                labels.append(packet[at : at + 1 + length])
                size, at = size + 1 + length, at + 1 + length
            elif length >= 0xC0 and at + 1 < len(packet):
                after = at + 2 if after < 0 else after
                at = (length & 0x3F) << 8 | packet[at + 1]
                if at >= front:
                    raise Malformed("a name points at itself or behind")
                front = at
            else:
                break
        raise Malformed("a name is cut or too long")

    def _unpack(self, form: struct.Struct, at: int) -> tuple[int, ...]:
        if at + form.size > len(self._packet):
            raise Malformed("a record is cut")
        return form.unpack_from(self._packet, at)

    def _content(self, rtype: int, start: int) -> str:
        """Return a record's content; `self._at` is its end already."""
        rdata = self._packet[start : self._at]
        if rtype == zone.A and len(rdata) == 4:
            return str(ipaddress.IPv4Address(rdata))
        if rtype == zone.AAAA and len(rdata) == 16:
            return str(ipaddress.IPv6Address(rdata))
        if rtype in {zone.NS, zone.CNAME, zone.PTR}:
            return self._names(1, start, 0)
        if rtype == zone.SOA:
            hosts = self._names(2, start, _SOA_TIMES.size)
            return _words(hosts, *self._unpack(_SOA_TIMES, self._at - _SOA_TIMES.size))
        if rtype in {zone.SRV, zone.MX}:
            form = _SRV_START if rtype == zone.SRV else _MX_START
            return _words(*self._unpack(form, start), self._names(1, start + form.size, 0))
        if rtype == zone.TXT:
            return " ".join(_strings(rdata))
        return f"\\# {len(rdata)} {rdata.hex()}".rstrip()  # any type at all (RFC 3597 §5)

    def _names(self, count: int, at: int, behind: int) -> str:
        """Return the names that fill a record's content but for the bytes behind them."""
        found = []
        for _ in range(count):
            name, at = self.name(at)
            found.append(names.to_text(name))
        if at != self._at - behind:
            raise Malformed("a record's names do not fill it")
        return " ".join(found)


def _words(*parts: object) -> str:
    return " ".join(map(str, parts))


def _strings(rdata: bytes) -> Iterator[str]:
    """Yield the strings of a TXT record, quoted; what a terminal would obey is escaped."""
    at = 0
    while at < len(rdata):
        end = at + 1 + rdata[at]
        if end > len(rdata):
            raise Malformed("a string is cut")
        yield '"' + "".join(_shown(byte) for byte in rdata[at + 1 : end]) + '"'
        at = end


def _shown(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 0x20 <= byte <= 0x7E else f"\\{byte:03d}"
