"""lbctl's processes on the host: an account's token, kubeconfig and settings for each. Shell.

Each process gets its own ServiceAccount's token, and each node's agent one that is bound to its
Node, which the admission policies check.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from lbctl_lab import controlplane, credentials, processes, state, values

LIFETIME = "8760h"
HERE = state.ROOT / "lbctl"


def write(name: str, account: str, tree: values.Tree, *, node: str = "") -> None:
    """Write what the process of this name runs with; `node` binds its token to that Node."""
    write_token(name, account, node=node)
    user = {"tokenFile": str(HERE / f"{name}.token")}
    state.write(HERE / f"{name}.kubeconfig", credentials.kubeconfig(user, credentials.crt("ca")))
    state.write(HERE / f"{name}.yaml", yaml.safe_dump(tree, sort_keys=False))


def write_token(name: str, account: str, *, node: str = "") -> None:
    """Write a new token; a process that runs reads it by itself."""
    bound = ("--bound-object-kind=Node", f"--bound-object-name={node}") if node else ()
    words = ("-n", values.NAMESPACE, "create", "token", account, f"--duration={LIFETIME}", *bound)
    state.write(HERE / f"{name}.token", controlplane.kubectl(*words).strip())


def spec(
    name: str, words: tuple[str, ...], place: str = "", env: Mapping[str, str] | None = None
) -> processes.Spec:
    """Return an lbctl process that runs with what `write` has written under its name."""
    program = str(Path(sys.executable).parent / "lbctl")
    files = ("--config", f"{HERE / name}.yaml", "--kubeconfig", f"{HERE / name}.kubeconfig")
    return processes.Spec(name, (program, *words, *files), place, env or {})
