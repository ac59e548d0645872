"""Transaction signatures (RFC 8945): messages signed with a shared secret. Pure; `now` is an input.

One class signs and checks a whole exchange, as each MAC covers the one before it.
"""

import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from lbctl_dns import message, names

NOTAUTH = 9
NOERROR, BADSIG, BADKEY, BADTIME, BADTRUNC = 0, 16, 17, 18, 22
FUDGE_S = 300
"""How far the clocks of both sides may be apart (RFC 8945 §10)."""

_MAC_SIZES = {"hmac-sha256": 32, "hmac-sha384": 48, "hmac-sha512": 64}
ALGORITHMS = tuple(_MAC_SIZES)
_ANY_CLASS_NO_TTL = b"\0\xff\0\0\0\0"
_TYPE = message.TSIG.to_bytes(2)


@dataclass(frozen=True, slots=True)
class Key:
    """A secret that two servers share, by name."""

    name: bytes
    """Lower-case wire form."""
    algorithm: str
    """One of ALGORITHMS."""
    secret: bytes

    def digest(self, of: bytes) -> bytes:
        """Return the MAC of some bytes."""
        return hmac.digest(self.secret, of, self.algorithm.removeprefix("hmac-"))

    @property
    def mac_size(self) -> int:
        """Return the length of a MAC, bytes."""
        return _MAC_SIZES[self.algorithm]

    @property
    def record_size(self) -> int:
        """Return by how much a signature lengthens a reply, at most, bytes."""
        return len(self.name) + 10 + len(names.to_wire(self.algorithm)) + self.mac_size + 22


@dataclass(frozen=True, slots=True)
class Signature:
    """What a TSIG record says."""

    start: int
    """Where the record starts in its message."""
    key_name: bytes
    algorithm: bytes
    time_s: int
    fudge_s: int
    mac: bytes
    original_id: bytes
    error: int
    other: bytes


def find(parsed: message.Message) -> Signature | None:
    """Return the signature of a message, None when there is none. Raises Malformed."""
    found = [one for one in parsed.records if one.rtype == message.TSIG]
    if not found:
        return None
    last = parsed.records[-1]
    if len(found) > 1 or found[0] is not last or last.section != 3:
        raise message.Malformed("a signature is the last record, and the only one")
    return _read(parsed.packet, last)


def _read(packet: bytes, record: message.Record) -> Signature:
    key_name, _ = message.plain_name(packet, record.start)
    algorithm, at = message.plain_name(packet, record.rdata_at)
    rest = packet[at : record.end]
    try:
        high, low, fudge_s, size = struct.unpack_from(">HIHH", rest)
        mac = rest[10 : 10 + size]
        original_id, error, length = struct.unpack_from(">2sHH", rest, 10 + size)
    except struct.error as problem:
        raise message.Malformed("a signature is cut") from problem
    other = rest[16 + size :]
    if len(other) != length:
        raise message.Malformed("a signature is cut")
    time_s = high << 32 | low
    return Signature(
        record.start, key_name, algorithm, time_s, fudge_s, mac, original_id, error, other
    )


def stripped(packet: bytes, signature: Signature) -> bytes:
    """Return the message as it was before it was signed."""
    additional = int.from_bytes(packet[10:12]) - 1
    body = packet[12 : signature.start]
    return signature.original_id + packet[2:10] + additional.to_bytes(2) + body


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a signature."""

    error: int
    """NOERROR, BADSIG, BADKEY, BADTIME or BADTRUNC."""
    key: Key | None = None
    """The key that proved right: also for BADTIME and BADTRUNC, whose replies are signed."""


def verify(
    packet: bytes,
    signature: Signature,
    keys: Mapping[bytes, Key],
    now_s: int,
    asked: bytes = b"",
) -> Verdict:
    """Judge a signed message; `asked` is the MAC of the request that it replies to."""
    key = keys.get(signature.key_name)
    if key is None or names.to_wire(key.algorithm) != signature.algorithm:
        return Verdict(BADKEY)
    before = len(asked).to_bytes(2) + asked if asked else b""
    fields = _variables(key, signature.time_s, signature.fudge_s, signature.error, signature.other)
    wanted = key.digest(before + stripped(packet, signature) + fields)
    size = len(signature.mac)
    if size < key.mac_size // 2 or not hmac.compare_digest(wanted[:size], signature.mac):
        return Verdict(BADSIG)
    if size < key.mac_size:
        return Verdict(BADTRUNC, key)
    if abs(now_s - signature.time_s) > signature.fudge_s:
        return Verdict(BADTIME, key)
    return Verdict(NOERROR, key)


def _variables(key: Key, time_s: int, fudge_s: int, error: int, other: bytes) -> bytes:
    times = _timers(time_s, fudge_s)
    algorithm = names.to_wire(key.algorithm)
    tail = struct.pack(">HH", error, len(other)) + other
    return key.name + _ANY_CLASS_NO_TTL + algorithm + times + tail


def _timers(time_s: int, fudge_s: int) -> bytes:
    return struct.pack(">HIH", time_s >> 32, time_s & 0xFFFFFFFF, fudge_s)


class Signer:
    """Signs the messages of one side of an exchange, one after the other."""

    def __init__(self, key: Key, asked: bytes = b"") -> None:
        self._key = key
        self.mac = asked
        """The last MAC; at first that of the request, empty where this is the request."""
        self._first = True

    def sign(self, packet: bytes, time_s: int, error: int = NOERROR, other: bytes = b"") -> bytes:
        """Return the message with its signature behind it."""
        before = len(self.mac).to_bytes(2) + self.mac if self.mac else b""
        fields = (
            _variables(self._key, time_s, FUDGE_S, error, other)
            if self._first
            else _timers(time_s, FUDGE_S)
        )
        self.mac, self._first = self._key.digest(before + packet + fields), False
        return _with_record(packet, self._key, time_s, self.mac, error, other)


def unsigned(packet: bytes, signature: Signature, error: int) -> bytes:
    """Return a reply that names what is wrong with a signature, without a MAC (RFC 8945 §5.2)."""
    start = signature.key_name + _TYPE + _ANY_CLASS_NO_TTL
    rdata = signature.algorithm + _timers(signature.time_s, signature.fudge_s) + b"\0\0"
    rdata += signature.original_id + error.to_bytes(2) + b"\0\0"
    return _appended(packet, start + len(rdata).to_bytes(2) + rdata)


def _with_record(
    packet: bytes, key: Key, time_s: int, mac: bytes, error: int, other: bytes
) -> bytes:
    rdata = names.to_wire(key.algorithm) + _timers(time_s, FUDGE_S) + len(mac).to_bytes(2) + mac
    rdata += packet[:2] + struct.pack(">HH", error, len(other)) + other
    start = key.name + _TYPE + _ANY_CLASS_NO_TTL
    return _appended(packet, start + len(rdata).to_bytes(2) + rdata)


def _appended(packet: bytes, record: bytes) -> bytes:
    additional = int.from_bytes(packet[10:12]) + 1
    return packet[:10] + additional.to_bytes(2) + packet[12:] + record
