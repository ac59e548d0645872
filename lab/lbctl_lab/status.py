"""What `lbctl lab status` and `env` say. Shell for asking, pure for the words."""

import json
import os
from dataclasses import dataclass

from lbctl_lab import controlplane, credentials, errors, plan, processes, state

KINDS: dict[state.Kind, str] = {
    "pods": "cluster with lbctl in pods",
    "processes": "cluster with lbctl on the host (--dev)",
    "bare": "cluster only (--bare)",
}


@dataclass(frozen=True, slots=True)
class Status:
    """The lab as it is now."""

    lab: state.Lab
    alive: dict[str, int | None]
    """Process name → pid, or nothing when it does not run."""
    ready: dict[str, bool]
    """Node name → Ready, empty when the API server does not answer."""


def read() -> Status:
    """Ask for the lab's state; raises when there is no lab."""
    lab = state.require_up()
    known = processes.records().items()
    alive = {name: record.pid if processes.is_alive(record) else None for name, record in known}
    return Status(lab, alive, _ready_nodes())


def _ready_nodes() -> dict[str, bool]:
    try:
        listed = controlplane.kubectl("get", "nodes", "-o", "json", "--request-timeout=3s")
    except errors.LabError:
        return {}
    return {item["metadata"]["name"]: _is_ready(item) for item in json.loads(listed)["items"]}


def _is_ready(item: dict[str, dict[str, list[dict[str, str]]]]) -> bool:
    conditions = item["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def as_json(status: Status) -> str:
    """Return the status for scripts."""
    return json.dumps(
        {
            "phase": status.lab.phase,
            "checkout": status.lab.checkout,
            "kind": status.lab.kind,
            "backend": status.lab.backend,
            "cni": status.lab.cni,
            "nodes": status.ready,
            "processes": {name: {"pid": pid} for name, pid in status.alive.items()},
            "env": env(),
        },
        indent=2,
    )


def words(lab: state.Lab) -> str:
    """Return in words which lab it is: labs of equal words are the same."""
    pods = f"backend {lab.backend}, pods by {lab.cni}"
    return f"{lab.nodes} nodes, {KINDS[lab.kind]}, {pods}, of {lab.checkout}"


def as_text(status: Status) -> str:
    """Return the status for people."""
    lines = [f"lab: {status.lab.phase}, {words(status.lab)}"]
    nodes = [f"{name} {'Ready' if ready else 'NotReady'}" for name, ready in status.ready.items()]
    lines.append("nodes: " + (", ".join(nodes) or "the API server does not answer"))
    for name, pid in status.alive.items():
        lines.append(f"  {name:<20} {f'pid {pid}' if pid else 'not running'}")
    return "\n".join(lines)


def env() -> dict[str, str]:
    """Return what a shell needs to work with the lab (PATH: only what is to be put before it)."""
    return {
        "KUBECONFIG": str(credentials.ADMIN),
        "LBCTL_DNS": f"{plan.DNS_V4}:53",
        "LBCTL_SUBDOMAIN": plan.SUBDOMAIN,
        "PATH": str(controlplane.tools()),
    }


def as_exports(values: dict[str, str]) -> str:
    """Return shell exports; evaluating them twice does not lengthen PATH."""
    path = os.environ.get("PATH", "")
    lines = [f"export {name}={value}" for name, value in values.items() if name != "PATH"]
    if values["PATH"] not in path.split(":"):
        lines.append(f'export PATH="{values["PATH"]}:$PATH"')
    return "\n".join(lines)
