"""ICMP echo requests of a client, and whether what they were sent to answers. Needs root."""

import ipaddress
import itertools
import socket
import struct
import time

from dataplane_bed import network_of

_REQUEST, _REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_identifiers = itertools.count(0x1B00)


class Pinger:
    """One process that pings an address: all its requests are one flow."""

    def __init__(self, space: str, address: str) -> None:
        self._version = ipaddress.ip_address(address).version
        four = self._version == 4
        family = socket.AF_INET if four else socket.AF_INET6
        protocol = socket.IPPROTO_ICMP if four else socket.IPPROTO_ICMPV6
        with network_of(space):
            self._socket = socket.socket(family, socket.SOCK_RAW, protocol)
        # Only what comes from the address itself is an answer; errors of routers are none.
        self._socket.connect((address, 0))
        self._identifier = next(_identifiers)
        self._sequences = itertools.count(1)

    def answered(self, timeout_s: float) -> bool:
        """Send one request; return whether its answer came, whole, within a time."""
        asked = (self._identifier, next(self._sequences), b"lbctl echo")
        self._socket.send(_message(_REQUEST[self._version], *asked))
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                found = self._socket.recv(2000)
            except TimeoutError:
                return False
            except OSError:  # somebody reports that it is unreachable
                continue
            if self._is_answer(found, asked):
                return True
        return False

    def _is_answer(self, found: bytes, asked: tuple[int, int, bytes]) -> bool:
        body = found[(found[0] & 15) * 4 :] if self._version == 4 else found
        if self._version == 4 and _checksum(body):
            return False
        kind, code, _, identifier, sequence = struct.unpack_from("!BBHHH", body)
        return (kind, code, identifier, sequence, body[8:]) == (_REPLY[self._version], 0, *asked)

    def close(self) -> None:
        self._socket.close()


def answered(space: str, address: str, timeout_s: float = 2.0) -> bool:
    """Ping once; return whether the address answered."""
    pinger = Pinger(space, address)
    try:
        return pinger.answered(timeout_s)
    finally:
        pinger.close()


def _message(kind: int, identifier: int, sequence: int, payload: bytes) -> bytes:
    """Return an echo request; the kernel sums up those of IPv6 itself."""
    body = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence) + payload
    return body[:2] + struct.pack("!H", _checksum(body)) + body[4:]


def _checksum(body: bytes) -> int:
    even = body + b"\0" * (len(body) % 2)
    total = int(sum(struct.unpack(f"!{len(even) // 2}H", even)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
