"""Transmit checksum offload of an interface: read it and turn it off (SIOCETHTOOL).

Open vSwitch's userspace datapath takes frames as they are: a checksum that was left to hardware
that does not exist is wrong, and conntrack calls the packet invalid.
"""

import array
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_GTXCSUM, _STXCSUM = 0x16, 0x17


def turn_off(device: str) -> bool:
    """Turn it off; return whether it was on. Raises OSError when there is no such device."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        if not _call(control, device, _GTXCSUM, 0):
            return False
        _call(control, device, _STXCSUM, 0)
        return True


def _call(control: socket.socket, device: str, command: int, value: int) -> int:
    words = array.array("B", struct.pack("=II", command, value))
    address, _ = words.buffer_info()
    fcntl.ioctl(control, _SIOCETHTOOL, struct.pack("16sP", device.encode(), address))
    return int(struct.unpack("=II", words)[1])
