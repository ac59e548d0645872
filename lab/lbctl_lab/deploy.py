"""Put lbctl itself on the lab: manifests, tokens, settings, processes. Shell.

Each process gets its own ServiceAccount's token, and each node's agent one that is bound to its
Node, which the admission policies check.
"""

import json
import sys
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path

import yaml

from lbctl_lab import (
    commands,
    controlplane,
    credentials,
    errors,
    nodes,
    plan,
    processes,
    progress,
    state,
    waiting,
)

NAMESPACE = "lbctl-system"
LIFETIME = "8760h"
RIGHTS = ("rbac-controller", "rbac-agents", "rbac-dns", "admission")
"""Templates of the chart that the lab applies."""
READY_WITHIN_S = 45.0
HERE = state.ROOT / "lbctl"


def settings(node: plan.Node | None = None) -> dict[str, object]:
    """Return lbctl's settings for the lab: those of one node's agent, or of everyone else."""
    tree: dict[str, object] = {
        "LbctlSettings": {"clusterName": plan.CLUSTER},
        "addressPools": [{"name": "default", "addresses": list(plan.DEFAULT_POOL)}],
        "nameservice": {
            "subdomains": [plan.SUBDOMAIN],
            "nsAddresses": [plan.DNS_V4, plan.DNS_V6],
        },
    }
    if node is not None:
        tree["agent"] = {
            "bridge": plan.INTEGRATION_BRIDGE,
            "serviceInterface": plan.SERVICE_INTERFACE,
            "legs": [node.leg_v4, node.leg_v6],
            "stateDir": str(HERE / f"agent-{node.name}"),
        }
    return tree


def router_settings() -> dict[str, object]:
    """Return the settings of the router's agent."""
    return settings() | {"agent": {"stateDir": str(HERE / f"agent-{plan.ROUTER}")}}


def fabric() -> str:
    """Return the Fabric object of the lab: its router, by the side the clients are on."""
    spec = {
        "driver": "linux",
        "linux": {"router": plan.ROUTER, "clientInterfaces": [plan.CLIENT_INTERFACE]},
    }
    metadata = {"name": "leaf"}
    return json.dumps(
        {"apiVersion": "lbctl.io/v1alpha1", "kind": "Fabric", "metadata": metadata, "spec": spec}
    )


def specs(wanted: Sequence[plan.Node]) -> list[processes.Spec]:
    """Return lbctl's processes; which need which is theirs to wait for."""
    listen = (f"{plan.DNS_V4}:53", f"[{plan.DNS_V6}]:53")
    listens = tuple(word for address in listen for word in ("--listen", address))
    agents = [
        _spec(f"agent-{node.name}", ("agent", "--node", node.name), node.name, nodes.ovs_env(node))
        for node in wanted
    ]
    router = ("agent", "--role", "router", "--node", plan.ROUTER)
    return [
        _spec("controller", ("controller",)),
        _spec("dns", ("dns", "serve", *listens, "--state-dir", str(HERE / "dns-state"))),
        *agents,
        _spec(f"agent-{plan.ROUTER}", router, plan.ROUTER),
    ]


def _spec(
    name: str, words: tuple[str, ...], place: str = "", env: dict[str, str] | None = None
) -> processes.Spec:
    program = str(Path(sys.executable).parent / "lbctl")
    files = (
        "--config",
        str(HERE / f"{name}.yaml"),
        "--kubeconfig",
        str(HERE / f"{name}.kubeconfig"),
    )
    return processes.Spec(name, (program, *words, *files), place, env or {})


def deploy(wanted: Sequence[plan.Node], shown: progress.Progress) -> None:
    """Apply the manifests, write tokens and settings, start all of lbctl's processes."""
    with shown.step("lbctl's definitions, accounts and rights"):
        _apply_manifests()
    with shown.step("tokens and settings"):
        _write_identities(wanted)
        controlplane.kubectl("apply", "-f", "-", text=fabric())
    for spec in specs(wanted):
        processes.launch(spec)
    with shown.step("lbctl's processes run"):
        _wait_working(wanted)


def _apply_manifests() -> None:
    chart = Path(state.checkout()) / "charts" / "lbctl"
    crds = sorted((chart / "files" / "crds").glob("*.yaml"))
    if not crds:
        raise errors.LabError(str(chart), "holds no definitions", "lbctl lab up --bare")
    controlplane.kubectl("apply", "-f", str(chart / "files" / "crds"))
    names = [yaml.safe_load(path.read_text())["metadata"]["name"] for path in crds]
    established = [f"crd/{name}" for name in names]
    controlplane.kubectl("wait", "--for=condition=Established", *established, "--timeout=30s")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    controlplane.kubectl("apply", "-f", "-", text=json.dumps(namespace))
    controlplane.kubectl("apply", "-f", "-", text=_rights(chart))


def _rights(chart: Path) -> str:
    """Return the chart's accounts, rights and policies as helm renders them.

    The workloads are left out: the lab runs lbctl's processes itself, next to their sources.
    """
    shown = [word for name in RIGHTS for word in ("--show-only", f"templates/{name}.yaml")]
    render = ("template", "lbctl", str(chart), "--namespace", NAMESPACE, "--values", "-")
    helm = str(controlplane.tools() / "helm")
    return commands.run([helm, *render, *shown], text=yaml.safe_dump(settings()))


def _write_identities(wanted: Sequence[plan.Node]) -> None:
    calls: list[tuple[str, str, dict[str, object], tuple[str, ...]]] = [
        ("controller", "lbctl-controller", settings(), ()),
        ("dns", "lbctl-dns", settings(), ()),
        (f"agent-{plan.ROUTER}", "lbctl-router", router_settings(), ()),
    ]
    for node in wanted:
        bound = ("--bound-object-kind=Node", f"--bound-object-name={node.name}")
        calls.append((f"agent-{node.name}", "lbctl-agent", settings(node), bound))
    with futures.ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(lambda call: _write_identity(*call), calls))


def _write_identity(
    name: str, account: str, tree: dict[str, object], bound: tuple[str, ...]
) -> None:
    words = ("-n", NAMESPACE, "create", "token", account, f"--duration={LIFETIME}", *bound)
    token = state.write(HERE / f"{name}.token", controlplane.kubectl(*words).strip())
    user = {"tokenFile": str(token)}
    state.write(HERE / f"{name}.kubeconfig", credentials.kubeconfig(user, credentials.crt("ca")))
    state.write(HERE / f"{name}.yaml", yaml.safe_dump(tree, sort_keys=False))


def _wait_working(wanted: Sequence[plan.Node]) -> None:
    """Wait until every agent has reported itself, the leader holds its Lease and DNS answers."""
    lease = controlplane.kubectl_argv("-n", NAMESPACE, "get", "lease/lbctl-controller")
    waiting.until_runs("controller", lease, timeout_s=READY_WITHIN_S)
    for name in (*(node.name for node in wanted), plan.ROUTER):
        reported = controlplane.kubectl_argv("get", f"servingnode/{name}")
        waiting.until_runs(f"agent-{name}", reported, timeout_s=READY_WITHIN_S)
    for server in (plan.DNS_V4, plan.DNS_V6):
        dig = f"dig +short +time=1 +tries=1 @{server} {plan.SUBDOMAIN} SOA"
        question = ["sh", "-c", f'test -n "$({dig})"']
        waiting.until_runs("dns", question, timeout_s=READY_WITHIN_S)
