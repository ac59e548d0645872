"""A node without the pods of two others, which take connections to its node ports as kube-proxy
makes them do: the kernel translates to the pod, which no route of the first node leads to."""

import subprocess
from pathlib import Path

import dataplane_bed
import spaces
from routed_bed import RoutedBed
from spaces import sh

FAR = (1, 2)
NODE_PORT, TARGET = 30080, 8080
_DNAT = """
table inet node-ports {
  chain prerouting {
    type nat hook prerouting priority -100;
    meta nfproto ipv4 fib daddr type local meta l4proto { 6, 17 } th dport %(port)d \
dnat ip to %(four)s:%(target)d
    meta nfproto ipv6 fib daddr type local meta l4proto { 6, 17 } th dport %(port)d \
dnat ip6 to [%(six)s]:%(target)d
  }
}
"""


def own_addresses(number: int) -> tuple[str, str]:
    """Return where the first node is on the link to a far node."""
    return f"192.0.2.{4 * number + 1}", f"2001:db8:{number}::1"


def far_addresses(number: int) -> tuple[str, str]:
    """Return where a far node is reached."""
    return f"192.0.2.{4 * number + 2}", f"2001:db8:{number}::2"


def far_pod_addresses(number: int) -> tuple[str, str]:
    """Return where the pod of a far node is, which only that node knows."""
    return f"10.244.8{number}.2", f"fd00:10:244:8{number}::2"


class RelayBed(RoutedBed):
    """The first node has pods of its own as well; far ones answer as `far<number>`."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self._far_servers: list[subprocess.Popen[str]] = []

    def up(self) -> None:
        super().up()
        for number in FAR:
            self._add_far(number)

    def far_node(self, number: int) -> str:
        """Return the name of a far node's namespace."""
        return spaces.named(self._name, f"far{number}")

    def _add_far(self, number: int) -> None:
        node, pod = self.far_node(number), spaces.named(self._name, f"farpod{number}")
        for space in (node, pod):
            self._add_space(space)
        four, six = far_pod_addresses(number)
        gateways = (f"{four[:-1]}1", f"{six[:-1]}1")
        _link(
            (self.node, f"far{number}"),
            (node, "eth0"),
            own_addresses(number),
            far_addresses(number),
        )
        _link((node, "pod0"), (pod, "eth0"), gateways, (four, six))
        for gateway in gateways:
            sh("ip", "route", "add", "default", "via", gateway, inside=pod)
        path = self.folder / f"far{number}.nft"
        words = {"port": NODE_PORT, "target": TARGET, "four": four, "six": six}
        path.write_text(_DNAT % words)
        sh("nft", "-f", str(path), inside=node)
        self._far_servers.append(dataplane_bed.pod_server(pod, f"far{number}", TARGET))
        # What is on no node: its address is routed, and it knows no way back to clients.
        own = far_addresses(number)
        self._far_servers.append(dataplane_bed.pod_server(node, f"bare{number}", TARGET, *own))

    def down(self) -> None:
        for server in self._far_servers:
            dataplane_bed.stop(server)
        super().down()


def _link(
    one: tuple[str, str], other: tuple[str, str], ones: tuple[str, str], others: tuple[str, str]
) -> None:
    """Join two namespaces by devices with an address of each family."""
    ends = (one[1], "netns", one[0], "type", "veth", "peer", "name", other[1], "netns", other[0])
    sh("ip", "link", "add", *ends)
    for (space, device), addresses in ((one, ones), (other, others)):
        sh("ip", "link", "set", device, "up", inside=space)
        for address, length in zip(addresses, ("30", "64"), strict=True):
            words = (f"{address}/{length}", "dev", device, "nodad")
            sh("ip", "address", "add", *words, inside=space)
