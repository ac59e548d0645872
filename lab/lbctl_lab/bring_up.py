"""Bring the cluster up, step by step. Shell.

The order overlaps what waits: the API server boots while the nodes' switches and containerds
start and take their images.
"""

from collections.abc import Sequence
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

import jinja2

from lbctl_lab import (
    binaries,
    commands,
    controlplane,
    credentials,
    errors,
    images,
    networks,
    nodes,
    plan,
    processes,
    progress,
    release,
    state,
    sweep,
    sysctls,
    waiting,
)

PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ovs-vswitchd": "openvswitch-switch",
    "ovsdb-tool": "openvswitch-switch",
    "nft": "nftables",
    "ethtool": "ethtool",
    "conntrack": "conntrack",
    "curl": "curl",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "sysctl": "procps",
}
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Programs:
    """Folders with the built programs of each origin."""

    kubernetes: Path
    coredns: Path
    echo: Path
    helm: Path


def preflight() -> None:
    """Refuse to start on a machine that lacks something, naming the packages."""
    state.require_root()
    missing = commands.missing(PROGRAMS)
    if not (nodes.CNI_BIN / "host-local").exists():
        missing["host-local"] = "containernetworking-plugins"
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise errors.LabError(
            ", ".join(sorted(missing)), "not installed", f"make setup (apt install {packages})"
        )


def build(shown: progress.Progress) -> Programs:
    """Return the programs, building what is not in the cache."""
    return Programs(
        binaries.built(binaries.KUBERNETES, shown),
        binaries.built(binaries.COREDNS, shown),
        binaries.built(binaries.ECHO, shown),
        binaries.built(binaries.HELM, shown),
    )


def bring_up(lab: state.Lab, programs: Programs, shown: progress.Progress) -> None:
    """Make the whole cluster; whatever an earlier lab left behind is swept first."""
    if swept := sweep.sweep():
        shown.say(f"swept what an earlier lab left: {', '.join(swept)}")
    state.save(lab)
    wanted = plan.nodes(lab.nodes)
    with shown.step("namespaces, links, routes"):
        networks.make(wanted, lab.cni)
    with shown.step("certificates and files"):
        _write_files(wanted, lab.cni, programs)
    processes.launch(controlplane.etcd(programs.kubernetes))
    processes.launch(controlplane.apiserver(programs.kubernetes))
    with shown.step("switches, containerd, images"):
        _start_nodes(wanted, lab.cni, _archives(lab.kind, programs, shown))
    with shown.step("API server"):
        controlplane.wait_ready()
    _start_rest(wanted, programs)
    with shown.step("cluster DNS applied"):
        controlplane.kubectl("apply", "-f", "-", text=coredns_manifest())
    with shown.step("nodes Ready"):
        _wait_nodes(wanted)
    with shown.step("cluster DNS answers"):
        controlplane.kubectl(
            "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=90s",
            timeout_s=100,
        )  # fmt: skip


def coredns_manifest() -> str:
    """Return the cluster's DNS as a manifest."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    room = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701
    return room.get_template("coredns.yaml.j2").render(
        image=images.COREDNS,
        subdomain=plan.SUBDOMAIN,
        dns_v4=plan.DNS_V4,
        service_v4=plan.CLUSTER_DNS_V4,
        service_v6=plan.CLUSTER_DNS_V6,
    )


def _write_files(wanted: Sequence[plan.Node], cni: plan.Cni, programs: Programs) -> None:
    credentials.make(wanted)
    _link_tools(programs)
    # Readable by anyone: the client's commands and the pods' resolvers read them.
    state.write(state.ROOT / "client.resolv.conf", plan.CLIENT_RESOLVER, mode=0o644)
    state.write(state.ROOT / "pods.resolv.conf", "nameserver 127.0.0.1\n", mode=0o644)
    for node in wanted:
        nodes.write_configs(node, cni)


def _link_tools(programs: Programs) -> None:
    controlplane.tools().mkdir(parents=True)
    for folder in (programs.kubernetes, programs.helm):
        for program in folder.iterdir():
            (controlplane.tools() / program.name).symlink_to(program)


def _archives(kind: state.Kind, programs: Programs, shown: progress.Progress) -> list[Path]:
    own = release.build_images(shown) if kind == "pods" else []
    return images.write_archives(programs.echo, programs.coredns) + own


def _start_nodes(wanted: Sequence[plan.Node], cni: plan.Cni, archives: Sequence[Path]) -> None:
    with futures.ThreadPoolExecutor(len(wanted)) as pool:
        list(pool.map(lambda node: _start_node(node, cni, archives), wanted))


def _start_node(node: plan.Node, cni: plan.Cni, archives: Sequence[Path]) -> None:
    if cni == "ovs":
        nodes.make_switch(node)
        nodes.start_switch(node)
    nodes.start_runtime(node)
    for archive in archives:
        images.load(node, archive)


def _start_rest(wanted: Sequence[plan.Node], programs: Programs) -> None:
    processes.launch(controlplane.kcm(programs.kubernetes))
    processes.launch(controlplane.scheduler(programs.kubernetes))
    state.save_sysctls(sysctls.read())
    for node in wanted:
        processes.launch(nodes.kubelet(node, programs.kubernetes))
        processes.launch(nodes.kube_proxy(node, programs.kubernetes))


def _wait_nodes(wanted: Sequence[plan.Node]) -> None:
    names = [f"node/{node.name}" for node in wanted]
    for node in wanted:
        there = controlplane.kubectl_argv("get", f"node/{node.name}")
        waiting.until_runs(f"kubelet-{node.name}", there, timeout_s=60)
    controlplane.kubectl("wait", "--for=condition=Ready", *names, "--timeout=90s", timeout_s=100)
