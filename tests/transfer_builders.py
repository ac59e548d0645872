"""What tests of zone transfers share: keys, requests, and a reader of their replies."""

import base64
from collections.abc import Iterable

import nameserver_builders as nb
from lbctl_dns import access, message, tsig, zone

NOW = 1_800_000_000
SECRET = base64.b64encode(b"s" * 32).decode()
KEY = access.key("xfr.example", "hmac-sha256", SECRET)
OTHER = access.key("other.example", "hmac-sha512", SECRET)
KNOWN = access.checked([KEY, OTHER], [access.rule("xfr.example@192.0.2.0/24")])
CLIENT = "192.0.2.53"


def request(qtype: int = message.AXFR, serial: int | None = None, opt: bytes = b"") -> bytes:
    """A request for the zone; with a serial as a secondary says it, by an SOA."""
    header = b"\x12\x34\0\0\0\x01\0\0" + bytes((0, serial is not None, 0, bool(opt)))
    question = nb.ORIGIN + qtype.to_bytes(2) + zone.CLASS_IN
    soa = b""
    if serial is not None:
        rdata = b"\0\0" + serial.to_bytes(4) + bytes(16)
        soa = b"\xc0\x0c\0\x06\0\x01\0\0\0\0" + len(rdata).to_bytes(2) + rdata
    return header + question + soa + opt


def signed(packet: bytes, key: tsig.Key = KEY, now_s: int = NOW) -> tuple[bytes, bytes]:
    """The message with its signature, and its MAC."""
    signer = tsig.Signer(key)
    return signer.sign(packet, now_s), signer.mac


def soa(serial: int) -> zone.RecordSet:
    return nb.SOA.record_set(nb.ORIGIN, serial)


def records_in(messages: Iterable[bytes]) -> list[bytes]:
    """The records in the answer sections, byte for byte; their names are in full."""
    found = []
    for packet in messages:
        at = 12
        if packet[5]:
            at = packet.index(b"\0", at) + 5
        for _ in range(int.from_bytes(packet[6:8])):
            start, fixed = at, packet.index(b"\0", at) + 1
            at = fixed + 10 + int.from_bytes(packet[fixed + 8 : fixed + 10])
            found.append(packet[start:at])
    return found
