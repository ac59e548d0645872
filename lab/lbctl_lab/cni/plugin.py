"""The CNI plugin: wire a pod as a port of the node's bridge, the kernel's or a switch's. Shell.

Containerd runs this file by itself, with the standard library only (start-up counts for every
pod), so it imports nothing of the lab. Specification: CNI 1.0.0. Addresses come from the
`host-local` plugin.

A pod gets /32 and /128 addresses and reaches everything through its gateway. With the range
on-link, a pod of the same node would answer another one straight over the bridge, past
kube-proxy, which then could not put the ClusterIP back as source.
"""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass

GENERAL_ERROR = 100
"""CNI: error codes from 100 on are the plugin's own."""

POD_SCRIPT = """
sysctl -q -w net.ipv6.conf."$0".accept_redirects=0
[ "$1" = kernel ] || ethtool -K "$0" tx off tso off gso off >/dev/null
exec ip -batch -
"""
"""Run inside the pod's network with the interface's name and whose the bridge is (`kernel` or
`switch`); the wiring comes by standard input.

No redirects: IPv6 routers send them whatever they are set to, and a pod that follows one answers
its neighbour straight over the bridge, past kube-proxy's un-NAT. No offloads before a switch: the
userspace one would pass on checksums that nobody has filled in.
"""


class PluginError(Exception):
    """A step that failed; the runtime shows the text in the pod's events."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the node's network configuration says to this plugin."""

    version: str
    bridge: str
    database: str
    """Where the node's OVSDB listens, as `ovs-vsctl --db` wants it; empty: the kernel's bridge."""
    mtu: int
    gateways: tuple[str, ...]
    host_local: str
    raw: str


@dataclass(frozen=True, slots=True)
class Pod:
    """The pod a call is about."""

    container: str
    netns: str
    interface: str
    namespace: str
    name: str

    @property
    def port(self) -> str:
        """Return the host's end of the pod's link: at most 15 bytes, the same for ADD and DEL."""
        digest = hashlib.sha256(f"{self.container}{self.interface}".encode()).hexdigest()
        return f"pod{digest[:11]}"

    @property
    def mac(self) -> str:
        """Return the pod's MAC, derived from its sandbox."""
        digest = hashlib.sha256(self.container.encode()).hexdigest()
        return ":".join(["02", *(digest[at : at + 2] for at in range(0, 10, 2))])


def parse_config(text: str) -> Config:
    """Return the configuration of a CNI call's standard input."""
    raw = json.loads(text)
    return Config(
        raw["cniVersion"], raw["bridge"], raw["database"], raw["mtu"], tuple(raw["gateways"]),
        raw["hostLocal"], text,
    )  # fmt: skip


def parse_pod(env: dict[str, str]) -> Pod:
    """Return the pod of a CNI call's environment."""
    words = [word.partition("=") for word in env.get("CNI_ARGS", "").split(";") if word]
    args = {name: value for name, _, value in words}
    return Pod(
        env["CNI_CONTAINERID"], env.get("CNI_NETNS", ""), env.get("CNI_IFNAME", "eth0"),
        args.get("K8S_POD_NAMESPACE", ""), args.get("K8S_POD_NAME", ""),
    )  # fmt: skip


def host_lines(config: Config, pod: Pod) -> list[str]:
    """Return the node's half of the wiring, for `ip -batch`.

    Hairpin: where the kernel filters what it bridges (br_netfilter), a Service that leads a pod to
    itself is bridged back out of the port it came by.
    """
    size = f"mtu {config.mtu}"
    joining = [
        f"link set {pod.port} master {config.bridge}",
        f"link set {pod.port} type bridge_slave hairpin on",
    ]
    return [
        f"link add {pod.port} {size} type veth peer name {pod.interface} address {pod.mac}"
        f" {size} netns {pod.netns}",
        f"link set {pod.port} addrgenmode none",
        *([] if config.database else joining),
        f"link set {pod.port} up",
    ]


def pod_lines(pod: Pod, addresses: list[str], gateways: tuple[str, ...]) -> list[str]:
    """Return the pod's half: host addresses, and the gateway as the only thing on the link."""
    lines = ["link set lo up"]
    for address in addresses:
        v6 = ":" in address
        lines.append(f"addr add {address}/{128 if v6 else 32} dev {pod.interface}" + " nodad" * v6)
    lines.append(f"link set {pod.interface} up")
    for gateway in gateways:
        everything = "::/0" if ":" in gateway else "0.0.0.0/0"
        lines.append(f"route add {gateway} dev {pod.interface} scope link")
        lines.append(f"route add {everything} via {gateway} dev {pod.interface}")
    return lines


def port_words(config: Config, pod: Pod, addresses: list[str]) -> list[str]:
    """Return the ovs-vsctl call that makes the port; agents learn pods from its external_ids."""
    ids = {
        "iface-id": f"{pod.namespace}/{pod.name}",
        "attached-mac": pod.mac,
        "pod-namespace": pod.namespace,
        "pod-name": pod.name,
        "sandbox": pod.container,
    }
    for address in addresses:
        ids["pod-ip6" if ":" in address else "pod-ip"] = address
    # Quotes keep the colons of MACs and IPv6 addresses out of ovs-vsctl's own syntax.
    pairs = [f'external_ids:{name}="{value}"' for name, value in ids.items()]
    return [
        "ovs-vsctl", f"--db={config.database}", "--timeout=20", "--",
        "--may-exist", "add-port", config.bridge, pod.port, "--", "set", "interface", pod.port,
        *pairs,
    ]  # fmt: skip


def result(config: Config, pod: Pod, addresses: list[str]) -> str:
    """Return the CNI result of an ADD."""
    by_family = {":" in gateway: gateway for gateway in config.gateways}
    ips = [
        {
            "address": f"{address}/{128 if ':' in address else 32}",
            "gateway": by_family[":" in address],
            "interface": 1,
        }
        for address in addresses
    ]
    interfaces = [
        {"name": pod.port, "mac": ""},
        {"name": pod.interface, "mac": pod.mac, "sandbox": pod.netns},
    ]
    return json.dumps({"cniVersion": config.version, "interfaces": interfaces, "ips": ips})


def run(words: list[str], text: str = "") -> str:
    """Run a command and return its output, or raise with what it said."""
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PluginError(f"{words[0]}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def add(config: Config, pod: Pod) -> str:
    """Wire a pod: addresses, veth, routes, checksums by software, port of the bridge."""
    granted = json.loads(run([config.host_local], config.raw))
    addresses = [ip["address"].partition("/")[0] for ip in granted["ips"]]
    run(["ip", "-batch", "-"], "\n".join(host_lines(config, pod)) + "\n")
    lines = "\n".join(pod_lines(pod, addresses, config.gateways)) + "\n"
    script = ["sh", "-ec", POD_SCRIPT, pod.interface, "switch" if config.database else "kernel"]
    run(["nsenter", f"--net={pod.netns}", *script], lines)
    if config.database:
        run(port_words(config, pod, addresses))
    return result(config, pod, addresses)


def delete(config: Config, pod: Pod) -> None:
    """Take a pod's wiring away; all of it may be gone already."""
    if config.database:
        to_switch = ("ovs-vsctl", f"--db={config.database}", "--timeout=20")
        run([*to_switch, "--if-exists", "del-port", pod.port])
    if _link_exists(pod.port):
        run(["ip", "link", "del", pod.port])
    run([config.host_local], config.raw)


def _link_exists(port: str) -> bool:
    done = subprocess.run(["ip", "link", "show", port], capture_output=True, check=False)
    return done.returncode == 0


def main() -> int:
    """Answer one CNI call."""
    os.environ["PATH"] = (
        f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    )
    command = os.environ.get("CNI_COMMAND", "")
    if command == "VERSION":
        print('{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}')
        return 0
    try:
        config = parse_config(sys.stdin.read())
        pod = parse_pod(dict(os.environ))
        if command == "ADD":
            print(add(config, pod))
        elif command == "DEL":
            delete(config, pod)
    except (PluginError, KeyError, ValueError, OSError) as failed:
        text = f"lbctl-lab {command}: {failed}"
        print(json.dumps({"cniVersion": "1.0.0", "code": GENERAL_ERROR, "msg": text}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
