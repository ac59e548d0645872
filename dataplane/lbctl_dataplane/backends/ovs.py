"""The Open vSwitch backend: one OpenFlow 1.5 bundle per change, read back, kernel kept off."""

import asyncio
import ipaddress
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lbctl import delta
from lbctl.model import errors
from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends import commands, ground, offload, ovsdb
from lbctl_dataplane.backends.port import Leg, Outcome
from lbctl_dataplane.rules import constants, guard, openflow, ovs
from lbctl_dataplane.rules.frontend import Frontend

log = logging.getLogger(__name__)

_OFCTL = ("ovs-ofctl", "-O", "OpenFlow15", "--no-names")
RETRY_S = 1.0
FULL_READ_S = 4.5
"""What a pass read back last is trusted for this long; then drift is looked for again."""
DEBIAN_RUNDIR = "/var/run/openvswitch"


class OvsBackend:
    """Owns the flows with our cookie, the groups with our prefix and the guard of one node."""

    def __init__(self, names: ground.Names, legs: Callable[[], tuple[Address, ...]]) -> None:
        self._names = names
        self._legs = legs
        self._database = ovsdb.Database(_run_dir() / "db.sock")
        self._compiler = ovs.Compiler()
        self._last: ground.Switch | None = None
        self._connected = False
        self._swept = False
        self._observed: openflow.Tables | None = None
        self._guarded: tuple[str, ...] | None = None
        self._full_read_at = float("-inf")

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow the OVS database for ever: a pod's new port is known as soon as it is there."""

        def known() -> None:
            self._connected = True
            changed()

        while True:
            try:
                await self._database.follow(known)
            except errors.Unavailable as error:
                log.warning("%s", error)
            self._connected = False
            self._distrust()
            await asyncio.sleep(RETRY_S)

    def _distrust(self) -> None:
        self._swept, self._observed, self._guarded = False, None, None

    def legs(self) -> tuple[Leg, ...] | None:
        """Return the legs' addresses with the service interface's MAC."""
        if not self._connected:
            return None
        try:
            found = self._switch().ground
        except errors.Unavailable:
            return None
        return tuple(Leg(address, found.service_mac) for address in found.legs)

    async def program(self, frontends: Sequence[Frontend]) -> Outcome:
        """Make the switch forward for these frontends; see `NodeBackend.program`."""
        switch = self._switch()
        now = asyncio.get_running_loop().time()
        if now - self._full_read_at > FULL_READ_S:
            self._observed, self._guarded, self._full_read_at = None, None, now
        changed = 0
        if self._guarded != switch.devices:
            changed = await self._keep_kernel_off(switch.devices)
            self._guarded = switch.devices
        changed += await self._forward(self._compiler.tables(frontends, switch.ground))
        return Outcome(changed, ovs.missing_pods(frontends, switch.ground))

    async def _forward(self, desired: openflow.Tables) -> int:
        observed, self._observed = self._observed or await self._observe(), None
        wanted = openflow.changes(desired, observed)
        if len(wanted):
            await self._apply(wanted)
            gone = wanted.flows.deletes
            await self._forget(ovs.pod_addresses(gone), ovs.vip_addresses(gone))
            await self._verify(desired)
        if not self._swept:
            await self._sweep(ovs.pod_addresses(desired.flows))
            self._swept = True
        self._observed = desired
        return len(wanted)

    def _switch(self) -> ground.Switch:
        if not self._connected:
            raise errors.Unavailable("OVS database is not connected yet")
        found = ground.read(self._database.rows, self._names, self._legs())
        if found != self._last:
            self._last = found  # the same object while nothing changed: comparing it is free
        return self._last or found

    async def _observe(self) -> openflow.Tables:
        ours = f"cookie={constants.COOKIE:#x}/{constants.COOKIE_MASK:#x}"
        flows, groups = await asyncio.gather(
            commands.run(*_OFCTL, "--no-stats", "dump-flows", self._names.bridge, ours),
            commands.run(*_OFCTL, "dump-groups", self._names.bridge),
        )
        return openflow.Tables(openflow.parse_flows(flows), openflow.parse_groups(groups))

    async def _apply(self, wanted: openflow.Changes) -> None:
        bundle = openflow.render_bundle(wanted)
        await commands.run(*_OFCTL, "bundle", self._names.bridge, "-", stdin=bundle)

    async def _verify(self, desired: openflow.Tables) -> None:
        left = openflow.changes(desired, await self._observe())
        if len(left):
            example = next(iter(openflow.render_bundle(left).splitlines()))
            raise errors.Unavailable(
                f"bridge {self._names.bridge} differs in {len(left)} places after a bundle that "
                f"it took; the first: {example}"
            )

    async def _keep_kernel_off(self, devices: Sequence[str]) -> int:
        for device in {self._names.service_interface, self._names.bridge}:
            try:
                if offload.turn_off(device):
                    log.warning("%s: transmit checksum offload was on; turned off", device)
            except OSError as error:
                raise errors.Unavailable(f"interface {device}: {error.strerror}") from error
        observed = guard.parse(await _guard_table())
        change = delta.diff(guard.desired(devices), observed)
        if not change:
            return 0
        await commands.run("nft", "-f", "-", stdin=guard.render(change))
        left = delta.diff(guard.desired(devices), guard.parse(await _guard_table()))
        if left:
            raise errors.Unavailable(f"the nft guard was not taken for {sorted(left.upserts)}")
        return len(change.upserts) + len(change.deletes)

    async def _forget(self, pods: Iterable[Address], vips: Iterable[Address]) -> None:
        """Drop the connections of pods and VIPs that are gone.

        A client that goes on sending then starts anew: another pod answers it with a reset at
        once, where silence would have cost it minutes.
        """
        for address in pods:
            await _flush("", f"ct_{_source(address)}={address}")
        for address in vips:
            await _flush(f"ct_{_destination(address)}={address}", "")

    async def _sweep(self, local: frozenset[Address]) -> None:
        """Drop connections to pods that went while nobody looked (a crash, a restart)."""
        dump = await _vswitchd("dpctl/dump-conntrack", f"zone={constants.CT_ZONE}")
        stale = connections_to(dump) - local
        if stale:
            log.info("dropping the connections of %d pods that are gone", len(stale))
        await self._forget(stale, ())


def connections_to(dump: str) -> frozenset[Address]:
    """Return the pod addresses of tracked connections: the sources of their answers."""
    found: set[str] = set()
    for line in dump.splitlines():
        _, _, reply = line.partition("reply=(src=")
        if reply:
            found.add(reply.partition(",")[0])
    return frozenset(ipaddress.ip_address(text) for text in found)


def _source(address: Address) -> str:
    return "nw_src" if address.version == 4 else "ipv6_src"


def _destination(address: Address) -> str:
    return "nw_dst" if address.version == 4 else "ipv6_dst"


async def _flush(original: str, reply: str) -> None:
    tuples = [original, reply] if reply else [original]
    zone = f"zone={constants.CT_ZONE}"
    await _vswitchd("dpctl/flush-conntrack", zone, *tuples)


async def _vswitchd(*words: str) -> str:
    """Give a command to the switch, by its socket's path.

    By its name alone ovs-appctl asks who holds the lock of the PID file, which nobody seems to do
    for a process in another PID namespace: an agent in a pod would always find it "stale".
    """
    pid_file = _run_dir() / "ovs-vswitchd.pid"
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError) as error:
        raise errors.Unavailable(f"{pid_file}: {error}; is ovs-vswitchd running?") from error
    socket = _run_dir() / f"ovs-vswitchd.{pid}.ctl"
    return await commands.run("ovs-appctl", "-t", str(socket), *words)


def _run_dir() -> Path:
    return Path(os.environ.get("OVS_RUNDIR", DEBIAN_RUNDIR))


async def _guard_table() -> str:
    listing = await commands.run("nft", "-j", "list", "tables", "netdev")
    if f'"name": "{constants.NFT_TABLE}"' not in listing:
        return ""
    return await commands.run("nft", "-j", "list", "table", "netdev", constants.NFT_TABLE)
