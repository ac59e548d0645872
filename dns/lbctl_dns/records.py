"""Zone files to record sets: the only module that touches dnslib, and never with a query's bytes.

dnslib's message parser costs up to 0.9 s for one hostile packet; its zone parser reads only files
that the operator names.
"""

import dnslib
from dnslib.label import DNSBuffer, DNSLabel

from lbctl_dns import names, plain_lines, zone


class MalformedZone(Exception):
    """The text is not a zone that can be served; says what is wrong."""


_TARGETS = {
    "NS": (0,), "CNAME": (0,), "DNAME": (0,), "PTR": (0,), "MX": (1,), "SRV": (3,), "SOA": (0, 1),
    "NAPTR": (5,), "AFSDB": (1,), "RP": (0, 1), "HTTPS": (1,), "SVCB": (1,),
}  # fmt: skip
"""By type, which words of a record are host names."""


class _Parser(dnslib.ZoneParser):
    """dnslib's parser, which leaves `@` and some relative names as they are written."""

    def parse_rr(self, rr: list[str]) -> dnslib.RR:
        """Return one record, its host names made absolute."""
        kind = next((at for at, word in enumerate(rr[:4]) if at and word in _TARGETS), None)
        if kind is not None:
            for place in _TARGETS[rr[kind]]:
                rr[kind + 1 + place] = self._absolute(rr[kind + 1 + place])
        return super().parse_rr(rr)  # type: ignore[no-any-return, no-untyped-call]

    def _absolute(self, host: str) -> str:
        if host.endswith("."):
            return host
        return str(self.origin) if host == "@" else f"{host}.{self.origin}".replace("..", ".")


class _Uncompressed(DNSBuffer):
    """A buffer that writes names in full, as record sets are copied between messages."""

    def encode_name(self, name: DNSLabel) -> None:
        self.encode_name_nocompress(name)  # type: ignore[no-untyped-call]


def parse_zone(text: str, origin: str) -> tuple[zone.Zone, int]:
    """Return the zone in an RFC 1035 zone file, and its serial. Raises MalformedZone."""
    try:
        apex = names.to_wire(origin)
        # Its tokens need a final line end.
        plain, rest = plain_lines.split(text, apex)
        parser = _Parser(rest + "\n", names.to_text(apex))  # type: ignore[no-untyped-call]
        sets = _sets([*plain, *map(_entry, parser)])
    except MalformedZone:
        raise
    except Exception as error:  # its parser lets IndexError, struct.error and others through
        raise MalformedZone(f"zone {origin}: {type(error).__name__}: {error}") from error
    for one in sets:
        if not names.is_within(one.name, apex):
            raise MalformedZone(f"zone {origin}: {names.to_text(one.name)} is outside of it")
    soas = [one for one in sets if one.rtype == zone.SOA]
    if len(soas) != 1 or soas[0].name != apex or len(soas[0].rdatas) != 1:
        raise MalformedZone(f"zone {origin}: needs one SOA record, at {names.to_text(apex)}")
    soa, serial = _soa(soas[0].rdatas[0])
    fixed = tuple(one for one in sets if one.rtype != zone.SOA)
    return zone.Zone(apex, soa, fixed), serial


def _entry(one: dnslib.RR) -> plain_lines.Entry:
    key = names.from_labels(list(one.rname.label)), int(one.rtype)
    return key, int(one.ttl), _rdata(one)


def _sets(entries: list[plain_lines.Entry]) -> list[zone.RecordSet]:
    found: dict[zone.SetKey, zone.RecordSet] = {}
    for key, own_ttl_s, rdata in entries:
        before = found.get(key)
        if before is None:
            found[key] = zone.RecordSet(*key, own_ttl_s, (rdata,))
        elif rdata not in before.rdatas:
            ttl_s = min(before.ttl_s, own_ttl_s)  # RFC 2181 §5.2: one TTL per set
            found[key] = zone.RecordSet(*key, ttl_s, (*before.rdatas, rdata))
    return list(found.values())


def _rdata(one: dnslib.RR) -> bytes:
    buffer = _Uncompressed()  # type: ignore[no-untyped-call]
    one.rdata.pack(buffer)
    return bytes(buffer.data)


def _soa(rdata: bytes) -> tuple[zone.Soa, int]:
    mname, rest = _first_name(rdata)
    rname, rest = _first_name(rest)
    numbers = [int.from_bytes(rest[at : at + 4]) for at in range(0, 20, 4)]
    return zone.Soa(mname, rname, *numbers[1:]), numbers[0]


def _first_name(wire: bytes) -> tuple[bytes, bytes]:
    end = 0
    while wire[end]:
        end += 1 + wire[end]
    return wire[: end + 1], wire[end + 1 :]
