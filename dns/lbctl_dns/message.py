"""The parts of a DNS message that is not one plain question: found by a bounded walk. Pure."""

from dataclasses import dataclass

from lbctl_dns import names

HEADER = 12
AXFR, IXFR, TSIG = 252, 251, 250
QUERY, NOTIFY = 0, 4
MAX_RECORDS = 8
"""More than any transfer request or reply to a NOTIFY carries; bounds the work on a hostile one."""
_MAX_LABELS = 128
_POINTER = 0xC0


class Malformed(Exception):
    """The bytes are no message that we need to understand."""


@dataclass(frozen=True, slots=True)
class Record:
    """Where one record lies in a message."""

    section: int
    """1 answer, 2 authority, 3 additional."""
    start: int
    fixed: int
    """Where type, class, TTL and length stand: behind the owner's name."""
    end: int
    rtype: int

    @property
    def rdata_at(self) -> int:
        """Return where the record's content starts."""
        return self.fixed + 10


@dataclass(frozen=True, slots=True)
class Message:
    """One question and the few records behind it."""

    packet: bytes
    question_end: int
    records: tuple[Record, ...]

    @property
    def question(self) -> bytes:
        """Return the question as it was asked: name, type, class."""
        return self.packet[HEADER : self.question_end]

    @property
    def name(self) -> bytes:
        """Return the question's name, lower case."""
        return self.question[:-4].lower()

    @property
    def qtype(self) -> int:
        """Return the question's type."""
        return int.from_bytes(self.question[-4:-2])

    @property
    def soa_serial(self) -> int | None:
        """Return the serial of the SOA in the authority section: what an IXFR starts from."""
        for one in self.records:
            if one.section == 2 and one.rtype == 6 and one.end - one.rdata_at >= 22:
                return int.from_bytes(self.packet[one.end - 20 : one.end - 16])
        return None


def parse(packet: bytes) -> Message:
    """Return the places of everything in a message with one question. Raises Malformed."""
    if len(packet) < HEADER or packet[4:6] != b"\0\x01":
        raise Malformed("not one question")
    question_end = _skip_name(packet, HEADER, pointers=False) + 4
    counts = [int.from_bytes(packet[at : at + 2]) for at in (6, 8, 10)]
    if sum(counts) > MAX_RECORDS:
        raise Malformed("too many records")
    records: list[Record] = []
    at = question_end
    for section, count in enumerate(counts, 1):
        for _ in range(count):
            records.append(_record(packet, section, at))
            at = records[-1].end
    if at != len(packet):
        raise Malformed("does not end where it says")
    return Message(packet, question_end, tuple(records))


def _record(packet: bytes, section: int, start: int) -> Record:
    fixed = _skip_name(packet, start, pointers=True)
    if fixed + 10 > len(packet):
        raise Malformed("a record is cut")
    end = fixed + 10 + int.from_bytes(packet[fixed + 8 : fixed + 10])
    if end > len(packet):
        raise Malformed("a record is cut")
    return Record(section, start, fixed, end, int.from_bytes(packet[fixed : fixed + 2]))


def _skip_name(packet: bytes, at: int, *, pointers: bool) -> int:
    for _ in range(_MAX_LABELS):
        if at >= len(packet):
            break
        length = packet[at]
        if length == 0:
            return at + 1
        if pointers and length >= _POINTER:
            return at + 2
        if length > names.MAX_LABEL:
            break
        at += 1 + length
    raise Malformed("a name is cut or too long")


def plain_name(packet: bytes, at: int) -> tuple[bytes, int]:
    """Return an uncompressed name, lower case, and where it ends. Raises Malformed."""
    end = _skip_name(packet, at, pointers=False)
    return packet[at:end].lower(), end


def reply_start(packet: bytes, rcode: int, *, authoritative: bool = False) -> bytes:
    """Return the first four bytes of a reply: id, flags, rcode; opcode and RD as asked."""
    flags = 0x80 | packet[2] & 0x79 | (0x04 if authoritative else 0)
    return packet[:2] + bytes((flags, rcode))
