"""Read DNS replies bit by bit: strict, slow and independent of the product's code."""

import ipaddress
from dataclasses import dataclass

TYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33, "OPT": 41,
    "DNSKEY": 48, "ANY": 255,
}  # fmt: skip
RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
BADVERS, BADCOOKIE = 16, 23
COOKIE = 10


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record; names are in text, rdata as people write it where we know the type."""

    owner: str
    rtype: int
    rclass: int
    ttl_s: int
    rdata: bytes
    text: str

    def __str__(self) -> str:
        kind = next((name for name, number in TYPES.items() if number == self.rtype), "")
        return f"{self.owner} {self.ttl_s} {kind or f'TYPE{self.rtype}'} {self.text}"


@dataclass(frozen=True, slots=True)
class Message:
    """A reply, all of it: there is nothing behind the last record."""

    packet: bytes
    questions: tuple[bytes, ...]
    """As bytes, in the spelling that they came in."""
    answer: tuple[Record, ...]
    authority: tuple[Record, ...]
    additional: tuple[Record, ...]
    """Without OPT."""
    opts: tuple[Record, ...]

    def _bits(self, shift: int, width: int = 1) -> int:
        return int.from_bytes(self.packet[2:4]) >> shift & (1 << width) - 1

    @property
    def flags(self) -> str:
        """The flags that are set, in dig's order and words; `z` is the last reserved bit."""
        places = {"qr": 15, "aa": 10, "tc": 9, "rd": 8, "ra": 7, "ad": 5, "cd": 4, "z": 6}
        return " ".join(name for name, shift in places.items() if self._bits(shift))

    @property
    def opcode(self) -> int:
        return self._bits(11, 4)

    @property
    def rcode(self) -> int:
        """With the upper bits that OPT carries."""
        upper = self.opts[0].ttl_s >> 24 if self.opts else 0
        return upper << 4 | self._bits(0, 4)

    @property
    def options(self) -> dict[int, bytes]:
        """EDNS options by code."""
        found, rest = {}, self.opts[0].rdata if self.opts else b""
        while rest:
            code, length = int.from_bytes(rest[:2]), int.from_bytes(rest[2:4])
            assert len(rest) >= 4 + length, "an option reaches beyond the OPT record"
            assert code not in found, "an option twice"
            found[code], rest = rest[4 : 4 + length], rest[4 + length :]
        return found

    def shown(self, section: str) -> list[str]:
        """One section as sorted lines."""
        return sorted(str(one) for one in getattr(self, section))


def read(packet: bytes) -> Message:
    """Take a message apart; fails where anything is too short, too long or points forward."""
    assert len(packet) >= 12, "no header"
    counts = [int.from_bytes(packet[at : at + 2]) for at in range(4, 12, 2)]
    at, questions = 12, []
    for _ in range(counts[0]):
        start = at
        _, at = _name(packet, at)
        at += 4
        questions.append(packet[start:at])
    sections = []
    for count in counts[1:]:
        records = []
        for _ in range(count):
            record, at = _record(packet, at)
            records.append(record)
        sections.append(records)
    assert at == len(packet), f"{len(packet) - at} bytes too many"
    opts = tuple(one for one in sections[2] if one.rtype == TYPES["OPT"])
    rest = tuple(one for one in sections[2] if one.rtype != TYPES["OPT"])
    return Message(packet, tuple(questions), tuple(sections[0]), tuple(sections[1]), rest, opts)


def _name(packet: bytes, at: int) -> tuple[str, int]:
    """Return a name and where it ends; pointers go back, each further than the one before."""
    labels: list[str] = []
    end, bound = 0, at
    while packet[at]:
        if packet[at] >= 0xC0:
            end = end or at + 2
            at = int.from_bytes(packet[at : at + 2]) & 0x3FFF
            assert at < bound, "a pointer that does not go back"
            bound = at
        else:
            assert packet[at] < 64, "a label of an unknown kind"
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode("latin-1"))
            at += 1 + packet[at]
    return ".".join(labels) + ".", end or at + 1


def _record(packet: bytes, at: int) -> tuple[Record, int]:
    owner, at = _name(packet, at)
    rtype, rclass = int.from_bytes(packet[at : at + 2]), int.from_bytes(packet[at + 2 : at + 4])
    ttl_s = int.from_bytes(packet[at + 4 : at + 8])
    start, end = at + 10, at + 10 + int.from_bytes(packet[at + 8 : at + 10])
    assert end <= len(packet), "rdata reaches beyond the message"
    rdata = packet[start:end]
    return Record(owner, rtype, rclass, ttl_s, rdata, _text(packet, start, rtype, rdata)), end


def _text(packet: bytes, at: int, rtype: int, rdata: bytes) -> str:
    if rtype in {TYPES["A"], TYPES["AAAA"]}:
        return str(ipaddress.ip_address(rdata))
    if rtype in {TYPES["NS"], TYPES["PTR"], TYPES["CNAME"]}:
        return _name(packet, at)[0]
    if rtype == TYPES["SRV"]:
        numbers = [str(int.from_bytes(rdata[n : n + 2])) for n in (0, 2, 4)]
        return " ".join([*numbers, _name(packet, at + 6)[0]])
    if rtype == TYPES["SOA"]:
        mname, at = _name(packet, at)
        rname, at = _name(packet, at)
        numbers = [str(int.from_bytes(packet[n : n + 4])) for n in range(at, at + 20, 4)]
        return " ".join([mname, rname, *numbers])
    return rdata.hex()
