"""Which backend a node has: as the settings say, or by what is found on the node."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

AUTO, OVS, NFT, IPVS, ANNOUNCE = "auto", "ovs", "nft", "ipvs", "announce-only"
TIMEOUT_S = 5
_NO_SUCH_BRIDGE = 2
"""Exit code of `ovs-vsctl br-exists`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend, and why it is this one."""

    name: str
    reason: str


def choose(setting: str, bridge: str, run_dir: Path) -> Choice:
    """Return the backend; `run_dir` is where Open vSwitch has its sockets when it is there.

    Where Open vSwitch is there and does not answer yet, it is the one: it may be starting.
    """
    if setting != AUTO:
        return Choice(setting, "setting agent.backend")
    socket = run_dir / "db.sock"
    if not socket.is_socket():
        return Choice(NFT, f"auto: no Open vSwitch here ({socket})")
    try:
        asked = subprocess.run(
            ["ovs-vsctl", f"--db=unix:{socket}", f"--timeout={TIMEOUT_S}", "br-exists", bridge],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return Choice(NFT, "auto: ovs-vsctl is not installed here")
    if asked.returncode == _NO_SUCH_BRIDGE:
        return Choice(NFT, f"auto: Open vSwitch here has no bridge {bridge}")
    if asked.returncode:
        return Choice(OVS, "auto: Open vSwitch is here and does not answer yet")
    return Choice(OVS, f"auto: Open vSwitch here has bridge {bridge}")
