"""Frames that ask who has an address on a link: ARP and neighbour solicitation. Pure."""

import ipaddress
import struct

from lbctl.model.virtual_service import Address

_ALL = b"\xff" * 6
_ARP, _IPV6 = 0x0806, 0x86DD
_ICMP6, _SOLICITATION = 58, 135


def question(mac: str, own: Address, asked: Address) -> bytes:
    """Return the frame by which `mac`, who has the address `own`, asks for another's."""
    sender = bytes.fromhex(mac.replace(":", ""))
    return _arp(sender, own, asked) if own.version == 4 else _solicitation(sender, own, asked)


def _arp(sender: bytes, own: Address, asked: Address) -> bytes:
    """Return a request of RFC 826."""
    header = struct.pack("!6s6sHHHBBH", _ALL, sender, _ARP, 1, 0x0800, 6, 4, 1)
    return header + sender + own.packed + bytes(6) + asked.packed


def _solicitation(sender: bytes, own: Address, asked: Address) -> bytes:
    """Return a solicitation of RFC 4861 §4.3, to the address of all who may be asked."""
    group = ipaddress.IPv6Address(
        ipaddress.IPv6Address("ff02::1:ff00:0").packed[:13] + asked.packed[13:]
    ).packed
    unsigned = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + asked.packed + b"\x01\x01" + sender
    pseudo = own.packed + group + struct.pack("!II", len(unsigned), _ICMP6)
    body = unsigned[:2] + struct.pack("!H", _checksum(pseudo + unsigned)) + unsigned[4:]
    ip = struct.pack("!IHBB", 6 << 28, len(body), _ICMP6, 255) + own.packed + group
    return b"\x33\x33" + group[12:] + sender + struct.pack("!H", _IPV6) + ip + body


def _checksum(octets: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of an even number of octets."""
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
