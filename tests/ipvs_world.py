"""The world of the IPVS backend: a guest kernel is the node. See `dataplane_worlds`."""

import dataplane_bed
import dataplane_builders as build
import ipvs_bed
import pings
from dataplane_worlds import Talk, refuses, socket_talk
from guest import ipvs_node
from lbctl_dataplane.backends.port import Outcome
from lbctl_dataplane.rules.frontend import Frontend, Place

PATIENCE_S = 3.0
"""For an answer. Where there is none the guest says so at once, so it costs nothing to wait."""


class IpvsWorld:
    """Each life of it begins with an agent that knows nothing."""

    refuses_vacant = False
    """By the nftables of the machine's own kernel: see test_ipvs_guarded_vips."""

    def __init__(self, bed: ipvs_bed.IpvsBed) -> None:
        self.bed = bed
        self.restart()

    def restart(self) -> None:
        self.bed.guest.call("guest.ipvs_node:begin", list(dataplane_bed.LEGS))

    def address(self, pod: int, version: int) -> str:
        return self.bed.pod_addresses(pod)[version == 6]

    def program(self, *frontends: Frontend) -> Outcome:
        bodies = [ipvs_node.render(entry) for entry in frontends]
        found = self.bed.guest.call("guest.ipvs_node:program", bodies)
        assert len(self.bed.guest.call("guest.ipvs_node:legs")) == len(dataplane_bed.LEGS)
        missing = {key: tuple(map(build.ip, found["missing"][key])) for key in found["missing"]}
        return Outcome(found["changed"], missing, found["complaint"])

    def talk(self, place: Place) -> Talk:
        return socket_talk(self.bed, place, PATIENCE_S)

    def refuses(self, place: Place) -> bool:
        return refuses(self.bed, place)

    def pings(self, vip: str, timeout_s: float) -> bool:
        return pings.answered(self.bed.client, vip, timeout_s)
