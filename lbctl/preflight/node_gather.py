"""Read the facts of the machine we run on: /proc, sockets, Open vSwitch, nft. Changes nothing."""

import array
import fcntl
import http.client
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from lbctl.preflight import parse
from lbctl.preflight.facts import Fact, NodeFacts, Proxy, Unread
from lbctl.settings_agent import AgentSettings

T = TypeVar("T")

WAIT_S = 10.0
PROC_SYS = Path("/proc/sys")
PROXY_PORT = 10249
"""Where kube-proxy shows its mode and metrics, on the loopback."""
_VSCTL = ("ovs-vsctl", "--timeout=5")
_PROBE = (
    "add table netdev lbctl-preflight\n"
    'add chain netdev lbctl-preflight probe { type filter hook ingress device "lo" priority 0; }\n'
    "list table netdev lbctl-preflight\n"
)
_UNSHARE = (
    "import ctypes, os, sys\n"
    "libc = ctypes.CDLL(None, use_errno=True)\n"
    "if libc.unshare(0x40000000):\n"  # CLONE_NEWNET
    "    sys.exit('a network namespace: ' + os.strerror(ctypes.get_errno()))\n"
)
_EXEC_NFT = "os.execvp('nft', ['nft', '-f', '-'])\n"
_SIOCGIFMTU, _SIOCETHTOOL, _GTXCSUM = 0x8921, 0x8946, 0x16


def node(settings: AgentSettings) -> NodeFacts:
    """Return what can be read; waits for commands, 10 s at most for each."""
    bridge, port = settings.bridge, settings.service_interface
    return NodeFacts(
        netdev_hook=_try(_netdev_hook),
        conntrack=shutil.which("conntrack") is not None,
        bridges=_try(lambda: tuple(_run(*_VSCTL, "list-br").split())),
        ports=_try(lambda: tuple(_run(*_VSCTL, "list-ports", bridge).split())),
        datapath=_try(lambda: _datapath(bridge)),
        openflow=_try(lambda: bool(_run("ovs-ofctl", "-O", "OpenFlow15", "show", bridge))),
        rp_filter=_try(lambda: _rp_filter(port)),
        mtu=_try(lambda: _mtu(port)),
        pod_mtus=_try(lambda: _pod_mtus(bridge)),
        offloads={device: _offload(device) for device in dict.fromkeys((port, bridge))},
        proxy=_try(_proxy),
    )


def _try(reading: Callable[[], T]) -> Fact[T]:
    try:
        return reading()
    except FileNotFoundError as error:
        return Unread(f"{error.filename}: there is none")
    except OSError as error:
        text = error.strerror or str(error) or type(error).__name__
        return Unread(f"{error.filename}: {text}" if error.filename else text)
    except (ValueError, http.client.HTTPException) as error:
        return Unread(str(error) or type(error).__name__)


def _run(*argv: str, stdin: str = "") -> str:
    """Return what a command printed. Raises OSError with its complaint."""
    try:
        ended = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=WAIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{_shown(argv)}: no end after {WAIT_S:g} s") from error
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"ended with {ended.returncode}"]
        raise OSError(f"{_shown(argv)}: {lines[0]}")
    return ended.stdout


def _shown(argv: Sequence[str]) -> str:
    return "trying nft" if argv[0] == sys.executable else " ".join(argv)


def _netdev_hook() -> str:
    """Try it in a network namespace that ends with the command. Raises OSError where we may not.

    `nft --check` is no test: it accepts devices that do not exist. unshare(1) is not everywhere.
    """
    if shutil.which("nft") is None:
        return "nft is not on PATH"
    _run(sys.executable, "-c", _UNSHARE + "pass")
    try:
        shown = _run(sys.executable, "-c", f"{_UNSHARE}{_EXEC_NFT}", stdin=_PROBE)
    except OSError as error:
        return str(error)
    return "" if "probe" in shown else "nft shows no chain after adding one"


def _datapath(bridge: str) -> str:
    return _run(*_VSCTL, "get", "Bridge", bridge, "datapath_type").strip().strip('"')


def _rp_filter(device: str) -> int:
    """Return what counts: the larger value (kernel: ip-sysctl.rst, `rp_filter`)."""
    places = (PROC_SYS / "net/ipv4/conf" / name / "rp_filter" for name in ("all", device))
    return max(int(place.read_text()) for place in places)


def _mtu(device: str) -> int:
    # Not from /sys: that shows the network namespace it was mounted in, not the one we are in.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            answer = fcntl.ioctl(control, _SIOCGIFMTU, struct.pack("16si12x", device.encode(), 0))
        except OSError as error:
            raise OSError(error.errno, f"{device}: {error.strerror}") from error
    return int(struct.unpack("16si12x", answer)[1])


def _pod_mtus(bridge: str) -> dict[str, int]:
    ports = set(_run(*_VSCTL, "list-ports", bridge).split())
    table = _run(*_VSCTL, "-f", "json", "--columns=name,external_ids", "list", "Interface")
    there = {name for _, name in socket.if_nameindex()}
    return {name: _mtu(name) for name in parse.pod_devices(table) if name in ports & there}


def _offload(device: str) -> Fact[bool]:
    """Tell whether transmit checksum offload is on (ethtool(8), `tx`)."""
    words = array.array("B", struct.pack("=II", _GTXCSUM, 0))
    request = struct.pack("16sP", device.encode(), words.buffer_info()[0])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, _SIOCETHTOOL, request)
    except OSError as error:
        return Unread(f"{device}: {error.strerror}")
    return bool(struct.unpack("=II", words)[1])


def _proxy() -> Proxy:
    connection = http.client.HTTPConnection("127.0.0.1", PROXY_PORT, timeout=WAIT_S)
    try:
        connection.request("GET", "/proxyMode")
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace").strip()
    except OSError as error:
        raise OSError(f"kube-proxy at 127.0.0.1:{PROXY_PORT}: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise ValueError(f"kube-proxy at 127.0.0.1:{PROXY_PORT}: {answer.status} {text[:80]}")
    return Proxy(text, None)
