"""lbctl's processes straight from the checkout, on the host: for quick work (`up --dev`). Shell.

Accounts, rights and policies are those that helm renders from the chart; the workloads are not.
"""

from collections.abc import Sequence
from concurrent import futures

import yaml

from lbctl_lab import (
    commands,
    controlplane,
    errors,
    identities,
    nodes,
    plan,
    processes,
    progress,
    release,
    state,
    values,
)

APPLIED = ("rbac-controller", "rbac-agents", "rbac-dns", "admission", "fabric")
"""Templates of the chart that are applied."""
API = "lbctl.io/v1alpha1/Fabric"
"""What helm has to know of the cluster to render a Fabric as an ordinary object."""


def start(wanted: Sequence[plan.Node], backend: plan.Backend, shown: progress.Progress) -> None:
    """Apply the manifests, write tokens and settings, start controller, DNS and agents."""
    with shown.step("lbctl's definitions, accounts and rights"):
        _apply_manifests(backend)
    with shown.step("tokens and settings"):
        _write_identities(wanted, backend)
        bring_dns_address()
    for spec in specs(wanted):
        processes.launch(spec)


def specs(wanted: Sequence[plan.Node]) -> list[processes.Spec]:
    """Return lbctl's processes but for the router's; which need which is theirs to wait for."""
    listen = (f"{plan.DNS_V4}:53", f"[{plan.DNS_V6}]:53")
    listens = tuple(word for address in listen for word in ("--listen", address))
    kept = ("--state-dir", str(identities.HERE / "dns-state"))
    return [
        identities.spec("controller", ("controller",)),
        identities.spec("dns", ("dns", "serve", *listens, *kept)),
        *map(_agent, wanted),
    ]


def bring_dns_address() -> None:
    """Put the name server's address on the host: the router sends its packets here."""
    for option, address, bits, host in (
        ("-4", plan.DNS_V4, 32, plan.HOST_V4),
        ("-6", plan.DNS_V6, 128, plan.HOST_V6),
    ):
        prefix = f"{address}/{bits}"
        nodad = ["nodad"] if option == "-6" else []
        commands.run(["ip", option, "address", "add", prefix, "dev", plan.BRIDGE, *nodad])
        commands.run(["ip", option, "route", "add", prefix, "via", host], place=plan.ROUTER)


def _agent(node: plan.Node) -> processes.Spec:
    words = ("agent", "--node", node.name)
    return identities.spec(f"agent-{node.name}", words, node.name, nodes.ovs_env(node))


def _apply_manifests(backend: plan.Backend) -> None:
    crds = sorted((release.chart() / "files" / "crds").glob("*.yaml"))
    if not crds:
        raise errors.LabError(str(release.chart()), "holds no definitions", "lbctl lab up --bare")
    controlplane.kubectl("apply", "-f", str(crds[0].parent))
    names = [yaml.safe_load(path.read_text())["metadata"]["name"] for path in crds]
    established = [f"crd/{name}" for name in names]
    controlplane.kubectl("wait", "--for=condition=Established", *established, "--timeout=30s")
    controlplane.kubectl("create", "namespace", values.NAMESPACE)
    controlplane.kubectl("apply", "-f", "-", text=_rendered(backend))


def _rendered(backend: plan.Backend) -> str:
    shown = [word for name in APPLIED for word in ("--show-only", f"templates/{name}.yaml")]
    tree = yaml.safe_dump(values.chart(str(state.ROOT), backend))
    return release.helm("template", "--api-versions", API, *shown, text=tree)


def _write_identities(wanted: Sequence[plan.Node], backend: plan.Backend) -> None:
    calls = [("controller", "lbctl-controller", values.settings(), "")]
    calls.append(("dns", "lbctl-dns", values.settings(), ""))
    for node in wanted:
        name = f"agent-{node.name}"
        tree = values.agent(str(identities.HERE / name), backend)
        calls.append((name, "lbctl-agent", tree, node.name))
    with futures.ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(lambda call: identities.write(*call[:3], node=call[3]), calls))
