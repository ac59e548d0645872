"""Run a command at a place of the lab: its network, and the client's own resolver. Shell."""

import os
from collections.abc import Sequence

from lbctl_lab import commands, errors, nodes, plan, state

PRIVATE_RESOLVER = 'mount --bind "$0" "$(readlink -f /etc/resolv.conf)" && exec "$@"'
"""In a mount namespace of its own, so that the host's resolver stays what it is."""


def argv(place: str, words: Sequence[str]) -> list[str]:
    """Return the full command line that runs words at a place (pure)."""
    full = list(commands.inside(place))
    if place == plan.CLIENT:
        resolver = str(state.ROOT / "client.resolv.conf")
        full += ["unshare", "--mount", "--propagation=private", "sh", "-c", PRIVATE_RESOLVER]
        full.append(resolver)
    return [*full, *words]


def environment(place: str) -> dict[str, str]:
    """Return the environment of a command at a place: the node's own switch and containerd."""
    by_name = {node.name: node for node in plan.nodes(plan.MAX_NODES)}
    extra = nodes.exec_env(by_name[place]) if place in by_name else {}
    return commands.environment(extra)


def execute(place: str, words: Sequence[str]) -> None:
    """Become the command: signals, terminal and exit code are its own. Does not return."""
    lab = state.require_up()
    known = plan.places(lab.nodes)
    if place not in known:
        raise errors.LabError(place, "no such place", f"one of: {', '.join(known)}")
    full = argv(place, words)
    os.execvpe(full[0], full, environment(place))  # noqa: S606
