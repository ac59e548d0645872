"""A node whose pods are plain routes, in network namespaces: no switch, the kernel forwards."""

from pathlib import Path

import dataplane_bed
import spaces
from spaces import sh

GATEWAYS = ("10.244.71.1", "fd00:10:244:71::1")


class RoutedBed(dataplane_bed.Bed):
    """One node, one client on its fabric leg, pods by number behind a veth and a route each."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self.env = {}  # nothing leads to a switch: another bed's may be in the environment

    def up(self) -> None:
        for space in (self.node, self.client):
            self._add_space(space)
        ends = ("svc0", "netns", self.node, "type", "veth", "peer", "name", "up0")
        sh("ip", "link", "add", *ends, "netns", self.client)
        for space, device in ((self.node, "svc0"), (self.client, "up0")):
            sh("ip", "link", "set", device, "up", inside=space)
        for leg, length in zip(dataplane_bed.LEGS, ("30", "80"), strict=True):
            sh("ip", "address", "add", f"{leg}/{length}", "dev", "svc0", "nodad", inside=self.node)
        self._client_side()

    def _plug(self, number: int, space: str, device: str) -> None:
        for address, gateway in zip(self.pod_addresses(number), GATEWAYS, strict=True):
            length = "128" if ":" in address else "32"
            own = (f"{gateway}/{length}", "dev", device, "nodad")
            sh("ip", "address", "add", *own, inside=self.node)
            sh("ip", "route", "add", f"{address}/{length}", "dev", device, inside=self.node)

    def delete_pod(self, number: int) -> None:
        self._stop_server(number)
        self._spaces.remove(self.pod_space(number))
        spaces.delete(self.pod_space(number))
