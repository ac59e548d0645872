"""One worker node: its switch, containerd, kubelet, kube-proxy in a network namespace.

The configuration texts are pure; `make_switch`, `start_switch` and `start_runtime` act.
"""

import json
import shutil
import sys
from pathlib import Path

from lbctl_lab import (
    commands,
    credentials,
    images,
    plan,
    pod_networks,
    processes,
    state,
    waiting,
)

OVS_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
CNI_BIN = Path("/usr/lib/cni")
PROTOCOLS = "OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15"


def folder(node: plan.Node) -> Path:
    """Return the folder of everything a node keeps."""
    return state.ROOT / node.name


def ovs_env(node: plan.Node) -> dict[str, str]:
    """Return the environment that points the ovs- programs at a node's own switch."""
    ovs = str(folder(node) / "ovs")
    return {"OVS_RUNDIR": ovs, "OVS_LOGDIR": ovs, "OVS_DBDIR": ovs}


def exec_env(node: plan.Node) -> dict[str, str]:
    """Return the environment of `lbctl lab exec <node>`: its switch and its containerd."""
    return {**ovs_env(node), "CONTAINERD_ADDRESS": str(images.socket(node))}


def ovsdb(node: plan.Node) -> processes.Spec:
    """Return the node's switch database."""
    ovs = folder(node) / "ovs"
    argv = (
        "ovsdb-server", str(ovs / "conf.db"), f"--remote=punix:{ovs}/db.sock",
        f"--pidfile={ovs}/ovsdb-server.pid", "--overwrite-pidfile", "-vconsole:warn",
    )  # fmt: skip
    return processes.Spec(f"ovsdb-{node.name}", argv, node.name, ovs_env(node))


def vswitchd(node: plan.Node) -> processes.Spec:
    """Return the node's switch; each start gives br-int its addresses again."""
    ovs = folder(node) / "ovs"
    argv = (
        "ovs-vswitchd", f"unix:{ovs}/db.sock", f"--pidfile={ovs}/ovs-vswitchd.pid",
        "--overwrite-pidfile", "-vconsole:warn",
    )  # fmt: skip
    after = ("sh", str(folder(node) / "gateway.sh"))
    return processes.Spec(f"vswitchd-{node.name}", argv, node.name, ovs_env(node), after)


def gateway_script(node: plan.Node) -> str:
    """Return the script that makes the bridge and puts the pods' gateway on it.

    Standalone: pods work before an agent runs, by one NORMAL flow of the lowest priority, also
    after the switch itself was started again (its flows and br-int's addresses are gone then).
    """
    bridge, leg = plan.INTEGRATION_BRIDGE, plan.SERVICE_INTERFACE
    inside = " ".join(commands.inside(node.name))
    lines = "\\n".join(
        (
            f"addr replace {node.gateway_v4}/24 dev {bridge}",
            f"addr replace {node.gateway_v6}/64 dev {bridge} nodad",
            f"link set {bridge} up",
        )
    )
    return f"""#!/bin/sh
set -e
ovs-vsctl --timeout=20 --may-exist add-br {bridge} \\
  -- set bridge {bridge} datapath_type=netdev fail_mode=standalone protocols={PROTOCOLS} \\
     other-config:hwaddr={node.bridge_mac} other-config:disable-in-band=true \\
  -- --may-exist add-port {bridge} {leg} -- set interface {leg} ofport_request={plan.SERVICE_OFPORT}
for _ in $(seq 100); do
  {inside} ip link show {bridge} >/dev/null 2>&1 && break
  sleep 0.1
done
printf '{lines}\\n' | {inside} ip -batch -
{inside} sysctl -q -w net.ipv4.conf.{bridge}.send_redirects=0 net.ipv4.conf.{bridge}.rp_filter=0
{inside} ethtool -K {bridge} tx off tso off gso off gro off >/dev/null
"""


def make_switch(node: plan.Node) -> None:
    """Make the files of the node's Open vSwitch."""
    ovs = folder(node) / "ovs"
    ovs.mkdir(parents=True, exist_ok=True)
    commands.run(["ovsdb-tool", "create", str(ovs / "conf.db"), str(OVS_SCHEMA)])
    state.write(folder(node) / "gateway.sh", gateway_script(node))


def start_switch(node: plan.Node) -> None:
    """Start the node's Open vSwitch with the bridge in place."""
    database = ovsdb(node)
    processes.launch(database)
    waiting.until_exists(database.name, folder(node) / "ovs" / "db.sock", timeout_s=20)
    commands.run(["ovs-vsctl", "--no-wait", "init"], env=ovs_env(node))
    processes.launch(vswitchd(node))


def containerd_config(node: plan.Node) -> str:
    """Return containerd's configuration (TOML)."""
    here = folder(node)
    return f"""version = 2
root = "{here}/containerd"
state = "{here}/containerd-run"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{images.socket(node)}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{here}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.PAUSE}"
  # Without it runc ends at once where oom scores may not be lowered.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  enable_unprivileged_ports = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{here}/cni/bin"
    conf_dir = "{here}/cni/conf"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{here}/runc"
"""


def cni_config(node: plan.Node, cni: plan.Cni) -> str:
    """Return the node's CNI configuration: the lab's plugin, and host-local for addresses."""
    switched = cni == "ovs"
    return json.dumps(
        {
            "cniVersion": "1.0.0",
            "name": "lbctl-lab",
            "type": "lbctl-lab",
            "bridge": plan.INTEGRATION_BRIDGE if switched else plan.POD_BRIDGE,
            "database": f"unix:{folder(node)}/ovs/db.sock" if switched else "",
            "mtu": pod_networks.mtu(cni),
            "gateways": [node.gateway_v4, node.gateway_v6],
            "hostLocal": str(CNI_BIN / "host-local"),
            "ipam": {
                "type": "host-local",
                "dataDir": str(folder(node) / "cni" / "addresses"),
                "ranges": [[{"subnet": node.pods_v4}], [{"subnet": node.pods_v6}]],
            },
        },
        indent=1,
    )


def kubelet_config(node: plan.Node) -> str:
    """Return the kubelet's configuration (JSON is YAML)."""
    here = folder(node)
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(credentials.crt("ca"))},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(credentials.crt(f"kubelet-server-{node.name}")),
            "tlsPrivateKeyFile": str(credentials.key(f"kubelet-server-{node.name}")),
            "clusterDNS": [plan.CLUSTER_DNS_V4],
            "clusterDomain": "cluster.local",
            "resolvConf": str(state.ROOT / "pods.resolv.conf"),
            "containerRuntimeEndpoint": f"unix://{images.socket(node)}",
            "podLogsDir": str(here / "pods"),
            "volumePluginDir": str(here / "volume-plugins"),
            "staticPodPath": "",
            # Version 1 cgroups, no swap rules, no resource trees: what any machine has.
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
            "localStorageCapacityIsolation": False,
            "registryPullQPS": 0,
            "eventRecordQPS": 0,
            "maxPods": 200,
            "nodeStatusUpdateFrequency": "5s",
            # How long a changed ConfigMap takes to reach its pods; a minute is the default.
            "syncFrequency": "10s",
        },
        indent=1,
    )


def kube_proxy_config(node: plan.Node) -> str:
    """Return kube-proxy's configuration: nftables, and no host-wide conntrack settings."""
    return json.dumps(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "hostnameOverride": node.name,
            "clusterCIDR": f"{plan.PODS_V4},{plan.PODS_V6}",
            "clientConnection": {
                "kubeconfig": str(credentials.kubeconfig_path(f"kube-proxy-{node.name}"))
            },
            "conntrack": {"maxPerCore": 0, "min": 0},
            "nodePortAddresses": ["primary"],
            "metricsBindAddress": "127.0.0.1:10249",
        },
        indent=1,
    )


def containerd(node: plan.Node) -> processes.Spec:
    """Return the node's containerd."""
    argv = ("containerd", "--log-level=warn", f"--config={folder(node) / 'containerd.toml'}")
    return processes.Spec(f"containerd-{node.name}", argv, node.name, ovs_env(node))


def kubelet(node: plan.Node, binaries: Path) -> processes.Spec:
    """Return the node's kubelet."""
    argv = (
        str(binaries / "kubelet"),
        f"--config={folder(node) / 'kubelet.json'}",
        f"--kubeconfig={credentials.kubeconfig_path(f'kubelet-{node.name}')}",
        f"--root-dir={folder(node) / 'kubelet'}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address_v4},{node.address_v6}",
    )
    return processes.Spec(f"kubelet-{node.name}", argv, node.name)


def kube_proxy(node: plan.Node, binaries: Path) -> processes.Spec:
    """Return the node's kube-proxy."""
    argv = (str(binaries / "kube-proxy"), f"--config={folder(node) / 'kube-proxy.json'}")
    return processes.Spec(f"kube-proxy-{node.name}", argv, node.name)


def write_configs(node: plan.Node, cni: plan.Cni) -> None:
    """Write the node's configuration files and install the CNI plugin for it."""
    here = folder(node)
    state.write(here / "containerd.toml", containerd_config(node))
    state.write(here / "kubelet.json", kubelet_config(node))
    state.write(here / "kube-proxy.json", kube_proxy_config(node))
    state.write(here / "cni" / "conf" / "10-lbctl-lab.conf", cni_config(node, cni))
    source = (Path(__file__).parent / "cni" / "plugin.py").read_text()
    # -I -S: isolated and without site-packages, which would cost more than the rest of the run.
    first = f"#!{Path(sys.executable).resolve()} -IS\n"
    state.write(here / "cni" / "bin" / "lbctl-lab", first + source, mode=0o755)
    (here / "cni" / "bin" / "loopback").symlink_to(CNI_BIN / "loopback")


def start_runtime(node: plan.Node) -> None:
    """Start the node's containerd and wait for its socket."""
    spec = containerd(node)
    processes.launch(spec)
    waiting.until_exists(spec.name, images.socket(node), timeout_s=30)


def forget_volatile(node: plan.Node) -> None:
    """Remove what a machine that was off would not have: what is kept below /run."""
    here = folder(node)
    for name in ("containerd-run", "runc"):
        shutil.rmtree(here / name, ignore_errors=True)
    files = (*(here / "ovs").glob("*.pid"), *(here / "ovs").glob("*.ctl"), here / "ovs" / "db.sock")
    for path in (*files, images.socket(node)):
        path.unlink(missing_ok=True)
