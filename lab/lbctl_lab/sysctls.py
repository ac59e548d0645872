"""Host-wide kernel settings that the kubelet changes: written down before, put back by `down`."""

from pathlib import Path

KUBELET_CHANGES = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""kubelet `setupKernelTunables` (pkg/kubelet/cm/container_manager_linux.go)."""

SYS = Path("/proc/sys")


def read() -> dict[str, str]:
    """Return the present values of those there are."""
    there = [name for name in KUBELET_CHANGES if (SYS / name).exists()]
    return {name: (SYS / name).read_text().strip() for name in there}


def restore(values: dict[str, str]) -> None:
    """Write values back where they differ."""
    for name, value in values.items():
        if (SYS / name).read_text().strip() != value:
            (SYS / name).write_text(value)
