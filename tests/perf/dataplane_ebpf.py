"""The eBPF experiment as one more path of `make bench-dataplane`: see `ebpf/README.md`."""

import contextlib
import ctypes
import ipaddress
import os
import platform
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import dataplane_space as space
from dataplane_paths import Route, vip_way

from lbctl_dataplane.rules import maglev
from lbctl_dataplane.rules.frontend import Frontend
from spaces import sh

ROUTED, SHORT = "tc eBPF (experiment)", "tc eBPF past the host's stack (experiment)"
SOURCE = Path(__file__).parent / "ebpf" / "balancer.c"
_SYSCALLS = {"x86_64": 321, "aarch64": 280}
_UPDATE_BATCH, _OBJECT_OF = 26, 7
_END, _TABLE = struct.Struct("=4s2s2x"), struct.Struct("=II")


_SVC0, _PODS = ("svc0",), tuple(f"pod{number}" for number in space.PODS)
PLACES: dict[str, tuple[tuple[str, tuple[str, ...], str], ...]] = {
    ROUTED: (("ingress", _SVC0, "ingress"), ("egress", _SVC0, "egress")),
    SHORT: (("in_short", _SVC0, "ingress"), ("out_short", _PODS, "ingress")),
}
"""Each path's programs: on which devices and at which hook."""


@contextlib.contextmanager
def ebpf(name: str, services: int) -> Iterator[Route]:
    """Let programs at tc translate, beside no conntrack at all."""
    bed_name = f"{'short' if name == SHORT else 'ebpf'}{services}"
    with space.node(bed_name, space.RoutedNode) as bed:
        with _bpf_folder(bed.folder) as pins:  # programs in use need no pins
            _load(bed.folder, pins)
            _attach(bed.node, name, pins)
            began = time.monotonic()
            fill(pins, space.frontends(bed, services))
            loaded_s = time.monotonic() - began
        yield Route(name, services, vip_way(bed, services), loaded_s)


@contextlib.contextmanager
def _bpf_folder(parent: Path) -> Iterator[Path]:
    folder = parent / "bpf"
    folder.mkdir()
    sh("mount", "-t", "bpf", "none", str(folder))
    try:
        yield folder / "balancer"  # bpftool mounts one more where a pin's folder is no such mount
    finally:
        sh("umount", str(folder))


def _load(folder: Path, pins: Path) -> None:
    built = str(folder / "balancer.o")
    headers = f"-I/usr/include/{platform.machine()}-linux-gnu"
    sh("clang", "-O2", "-g", "-Wall", "-target", "bpf", headers, "-c", str(SOURCE), "-o", built)
    sh("bpftool", "prog", "loadall", built, str(pins), "type", "tc", "pinmaps", str(pins))


def _attach(node: str, name: str, pins: Path) -> None:
    places = [
        (program, device, hook) for program, devices, hook in PLACES[name] for device in devices
    ]
    for device in {device for _, device, _ in places}:
        sh("tc", "qdisc", "add", "dev", device, "clsact", inside=node)
    for program, device, hook in places:
        pinned = ("bpf", "da", "pinned", str(pins / program))
        sh("tc", "filter", "add", "dev", device, hook, *pinned, inside=node)


def fill(pins: Path, frontends: Sequence[Frontend]) -> None:
    """Write the Maglev tables, one behind the other, then the places that lead to them."""
    ends, tables = [], []
    for entry in frontends:
        own = maglev.table(entry.members)
        tables.append(_TABLE.pack(len(ends), len(own)))
        ends += [_end(member.address, member.port) for member in own]
    numbers = [struct.pack("=I", number) for number in range(len(ends))]
    places = [_end(entry.place.vip, entry.place.port) for entry in frontends]
    _write(pins / "slots", numbers, ends)
    _write(pins / "places", places, tables)


def _end(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bytes:
    return _END.pack(address.packed, port.to_bytes(2))


def _write(pinned: Path, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
    """Write all elements by one call (`bpf_attr.batch` in linux/bpf.h)."""
    name = ctypes.create_string_buffer(str(pinned).encode())
    descriptor = _bpf(_OBJECT_OF, struct.pack("=QII", ctypes.addressof(name), 0, 0))
    try:
        key, value = (ctypes.create_string_buffer(b"".join(all_)) for all_ in (keys, values))
        at = (0, 0, ctypes.addressof(key), ctypes.addressof(value))
        _bpf(_UPDATE_BATCH, struct.pack("=QQQQIIQQ", *at, len(keys), descriptor, 0, 0))
    finally:
        os.close(descriptor)


def _bpf(command: int, attributes: bytes) -> int:
    libc, own = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(attributes)
    number = _SYSCALLS[platform.machine()]
    found = int(libc.syscall(number, command, ctypes.byref(own), len(attributes)))
    if found < 0:
        raise OSError(ctypes.get_errno(), f"bpf command {command}")
    return found
