"""Nodes on one link, some of which have a switch for their pods, others routes. Needs root."""

import contextlib
import ipaddress
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dataplane_bed
import dataplane_builders as build
import spaces
from dataplane_bed import SERVICE_PORT
from lbctl.model.virtual_service import VirtualService
from lbctl_dataplane.backends.ovs import ground
from lbctl_dataplane.backends.ovs.backend import OvsBackend
from lbctl_dataplane.backends.ovs.peers import ANSWER_S, SwitchPeers
from lbctl_dataplane.decisions import View
from lbctl_dataplane.node import Beside, NodeRole
from lbctl_dataplane.roles import Programmed
from lbctl_dataplane.rules.router.legs import Forwarding, Network
from peers_bed import LENGTH, TARGET, Agents, PeersBed, Pod, Way
from spaces import sh


class Link(Way):
    """A node's legs, whose networks are said."""

    def networks(self) -> tuple[Network, ...]:
        return tuple(
            ipaddress.ip_network(f"{leg}/{LENGTH[leg.version]}", strict=False) for leg in self.legs
        )


class SwitchedBed(PeersBed):
    """Nodes on one link; those of `switched` have a switch."""

    def __init__(self, name: str, *, nodes: int, switched: tuple[int, ...]) -> None:
        super().__init__(name, nodes=nodes, one_link=True)
        self._folder = tempfile.TemporaryDirectory(prefix=spaces.PREFIX)
        self._sent_before = 0
        self.named_gateways = True
        """The nodes' legs say where answers go."""
        self.switches = {number: self._switch(name, number) for number in switched}

    def _switch(self, name: str, number: int) -> dataplane_bed.Bed:
        folder = Path(self._folder.name) / str(number)
        folder.mkdir()
        made = dataplane_bed.Bed(folder, f"{name}{number}")
        made.node = self.node(number)
        return made

    def way(self, number: int) -> Link:
        """Return where a node stands."""
        way = super().way(number)
        return Link(way.legs, way.named if self.named_gateways else ())

    def up(self) -> None:
        super().up()
        # What a switch forwards keeps the checksum that it came with.
        dataplane_bed.plain(self.client, "eth0")

    def _plug(self, number: int) -> None:
        super()._plug(number)
        switch = self.switches.get(number)
        if switch is None:
            return
        node = self.node(number)
        sh("ip", "address", "flush", "dev", "svc0", inside=node)
        dataplane_bed.plain(node, "svc0")
        switch.start_switch()
        port = f"ofport_request={SERVICE_PORT}"
        switch.vsctl("add-port", "br-int", "svc0", "--", "set", "Interface", "svc0", port)
        for version, length in ((4, 24), (6, 64)):
            gateway = f"{Pod(0, number).gateway(version)}/{length}"
            sh("ip", "address", "add", gateway, "dev", "br-int", "nodad", inside=node)
        sh("ip", "link", "set", "br-int", "up", inside=node)
        sh("ethtool", "-K", "br-int", "tx", "off", inside=node)

    def add(self, pod: Pod) -> None:
        """Start a pod on its node."""
        switch = self.switches.get(pod.node)
        if switch is None:
            super().add(pod)
            return
        space = self._space(pod.name)
        spaces.add(space)
        self._spaces.append(space)
        self._connect(space, "eth0", self.node(pod.node), pod.name)
        for end, device in ((space, "eth0"), (self.node(pod.node), pod.name)):
            dataplane_bed.plain(end, device)
        for version in (4, 6):
            own, gateway = pod.address(version), pod.gateway(version)
            bits = "32" if version == 4 else "128"
            sh("ip", "address", "add", f"{own}/{bits}", "dev", "eth0", "nodad", inside=space)
            sh("ip", "route", "add", gateway, "dev", "eth0", inside=space)
            sh("ip", "route", "add", "default", "via", gateway, "dev", "eth0", inside=space)
        switch.plug(pod.name, space, pod.address(4), pod.address(6))
        self._servers.append(dataplane_bed.pod_server(space, pod.name, TARGET))

    def _serving_node(self, number: int) -> dict[str, Any]:
        said = super()._serving_node(number)
        networks = list(map(str, self.way(number).networks()))
        backend = "ovs" if number in self.switches else "nft"
        said["spec"].update(backend=backend, peers="auto", networks=networks)
        return said

    @contextlib.contextmanager
    def environment_of(self, number: int) -> Iterator[None]:
        """Be an agent of a node: its switch's sockets are where the environment says."""
        before = os.environ.get("OVS_RUNDIR")
        if number in self.switches:
            os.environ["OVS_RUNDIR"] = str(self.switches[number].folder)
        try:
            yield
        finally:
            os.environ.pop("OVS_RUNDIR", None)
            if before is not None:
                os.environ["OVS_RUNDIR"] = before

    def count_sent_anew(self, number: int) -> None:
        """Count what a node puts on the link, but for questions for neighbours, from now on."""
        self._sent_before = self._sent(number)

    def sent(self, number: int) -> int:
        """Return how many frames for or of VIPs a node has put on the link."""
        return self._sent(number) - self._sent_before

    def _sent(self, number: int) -> int:
        dump = self.switches[number].ofctl("dump-ports", "br-int", str(SERVICE_PORT))
        return int(dump.partition("tx pkts=")[2].partition(",")[0])

    def forget_neighbours(self) -> None:
        """Have the router ask for the nodes' legs anew."""
        sh("ip", "neigh", "flush", "dev", "link0", inside=self.router)

    def learned(self, number: int, table: int) -> int:
        """Return how many flows a switch has learned in a table."""
        dump = self.switches[number].ofctl("dump-flows", "br-int", f"table={table}")
        return dump.count("cookie=0x1bc9")

    def down(self) -> None:
        for switch in self.switches.values():
            switch.stop_switch()
        super().down()
        self._folder.cleanup()


class SwitchedAgents(Agents):
    """An agent for each node, with the backend that its pods need."""

    _bed: SwitchedBed

    def _role(self, number: int) -> NodeRole:
        if number not in self._bed.switches:
            return super()._role(number)
        name, link = f"node-{number}", self._bed.way(number)
        with self._bed.environment_of(number):
            backend = OvsBackend(ground.Names("br-int", "svc0"), link.now)
        peers = SwitchPeers(name, backend, link, everywhere=self._everywhere)
        return NodeRole(name, backend, build.CHOSEN, Beside(peers=peers))

    def program_one(self, number: int, wanted: VirtualService, *pods: Pod) -> Programmed:
        """Let a node take one virtual service; where legs name gateways, until they answered."""
        done = super().program_one(number, wanted, *pods)
        deadline = time.monotonic() + 20
        while self._bed.named_gateways and self.taking_part(number) is None:
            assert time.monotonic() < deadline, done.complaint
            time.sleep(ANSWER_S)
            super().program_one(number, wanted, *pods)
        return done

    def taking_part(self, number: int) -> Forwarding | None:
        """Return what a node says of its part in passing on."""
        return self._roles[number].forwarding()

    async def _pass(self, number: int, view: View) -> Programmed:
        with self._bed.environment_of(number):
            return await super()._pass(number, view)
