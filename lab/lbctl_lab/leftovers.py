"""Files that containerd and the kubelet leave outside the lab's folder, at places they fix. Shell.

Each is known as the lab's by a path into the lab's folder, or by nobody answering on it; folders
go only when they are empty, so those of another containerd or kubelet stay.
"""

import contextlib
import socket
from collections.abc import Iterable
from pathlib import Path

from lbctl_lab import state

SHIM_SOCKETS = Path("/run/containerd/s")
CNI_CACHE = Path("/var/lib/cni/results")
POD_LOG_LINKS = Path("/var/log/containers")
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
FOLDERS = (
    SHIM_SOCKETS,
    SHIM_SOCKETS.parent,
    CNI_CACHE,
    CNI_CACHE.parent,
    POD_LOG_LINKS,
    DEVICE_PLUGINS,
    DEVICE_PLUGINS.parent,
)


def find() -> list[Path]:
    """Return the files outside the lab's folder; call it when the lab's processes have ended."""
    return [*_shim_sockets(), *_cni_results(), *_pod_log_links()]


def remove(files: Iterable[Path]) -> None:
    """Remove the files, the kubelet's dead socket, and the folders that are empty then."""
    for path in files:
        path.unlink(missing_ok=True)
    registry = DEVICE_PLUGINS / "kubelet.sock"
    if registry.is_socket() and _is_dead(registry):
        registry.unlink(missing_ok=True)
    for folder in FOLDERS:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _shim_sockets() -> list[Path]:
    sockets = SHIM_SOCKETS.glob("*") if SHIM_SOCKETS.exists() else ()
    return [path for path in sockets if path.is_socket() and _is_dead(path)]


def _cni_results() -> list[Path]:
    files = CNI_CACHE.glob("*") if CNI_CACHE.exists() else ()
    return [path for path in files if f"{state.ROOT}/" in path.read_text(errors="replace")]


def _pod_log_links() -> list[Path]:
    links = [path for path in POD_LOG_LINKS.glob("*.log") if path.is_symlink()]
    return [link for link in links if state.ROOT in link.readlink().parents]


def _is_dead(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        return False
