"""The Open vSwitch backend: one OpenFlow 1.5 bundle per change, audited, kernel kept off.

A pass sends what it changes and nothing else: the bundle is atomic, so when the switch answers
that it took it, the tables hold it (OpenFlow 1.5 §6.9; a refused line fails the whole). Everything
is read back when that chain of knowledge has a gap: at the start, after a bundle that failed, when
the switch or its database was restarted, and in an audit now and then, since others may have
changed our flows.
"""

import asyncio
import hashlib
import ipaddress
import logging
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from lbctl import delta
from lbctl.model import errors
from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends import audits, commands
from lbctl_dataplane.backends.ovs import ground, offload, ovsdb
from lbctl_dataplane.backends.ovs.meters import Meters
from lbctl_dataplane.backends.ovs.refusals import Refusals
from lbctl_dataplane.backends.port import Leg, Outcome
from lbctl_dataplane.backends.tables import printed as tables
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.ovs import compiler, guard, openflow, pipeline, refusals

log = logging.getLogger(__name__)

_OFCTL = ("ovs-ofctl", "-O", "OpenFlow15", "--no-names")
RETRY_S = 1.0
LOOK_S = 0.2
"""Within this time it is noticed that the switch is another process."""
FEW = 4
"""Addresses up to which nobody looks first whether they have connections at all."""
DEBIAN_RUNDIR = "/var/run/openvswitch"


class OvsBackend:
    """Owns the flows with our cookie, the groups with our prefix and the guard of one node."""

    def __init__(self, names: ground.Names, legs: Callable[[], tuple[Address, ...]]) -> None:
        self._names = names
        self._legs = legs
        self._database = ovsdb.Database(run_dir() / "db.sock")
        self._compiler = compiler.Compiler()
        self._meters = Meters(names.bridge)
        self._refusals = Refusals(refusals.table(names.service_interface))
        self._last: ground.Switch | None = None
        self._last_inputs: tuple[object, ...] = ()
        self._connected = False
        self._swept = False
        self._audits = audits.Audits()
        self._dump = b""
        """A digest of what the last audit read, which is megabytes; empty after a change."""
        self._guarded: tuple[str, ...] | None = None
        self._switch_started = 0

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow the OVS database, for pods' new ports, and restarts of the switch for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_database(changed))
            tasks.create_task(_follow_restarts(changed))

    async def _follow_database(self, changed: Callable[[], None]) -> None:
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
        self._swept, self._guarded, self._dump = False, None, b""
        self._meters.distrust()
        self._audits.distrust()

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
        self._notice_restart()
        if await self._meters.look():
            switch = self._switch()
        self._compiler.update(frontends, switch.ground)
        try:
            changed = await self._make_it_so(switch)
        except BaseException:
            self._distrust()
            raise
        return Outcome(changed, self._compiler.missing)

    @property
    def parts(self) -> compiler.Compiler:
        """Return what keeps parts beside the frontends; `program` makes them so with these."""
        return self._compiler

    def facts(self) -> pipeline.Ground:
        """Return the facts of the switch. Raises Unavailable."""
        return self._switch().ground

    @property
    def switch_started(self) -> int:
        """Return when the switch started, as far as `program` noticed: one that did is empty."""
        return self._switch_started

    async def dump_table(self, table: int) -> str:
        """Return the flows of one table, of whatever cookie. Raises Unavailable."""
        bridge = self._names.bridge
        return await commands.run(*_OFCTL, "--no-stats", "dump-flows", bridge, f"table={table}")

    async def emit(self, frame: bytes) -> None:
        """Send a frame by the service interface. Raises Unavailable."""
        port = self.facts().service_port
        words = f"in_port=CONTROLLER,packet={frame.hex()},actions=output:{port}"
        await commands.run(*_OFCTL, "packet-out", self._names.bridge, words)

    async def _make_it_so(self, switch: ground.Switch) -> int:
        auditing = self._audits.due()
        changed = 0
        if auditing or self._guarded != switch.devices:
            changed = await self._keep_kernel_off(switch.devices)
            self._guarded = switch.devices
        if auditing:
            with self._audits.running():
                await self._read_back()
        made = await self._serve_and_refuse()
        if auditing and made:
            await self._verify()
        if not self._swept:
            await self._sweep(pipeline.pod_addresses(self._compiler.desired.flows))
            self._swept = True
        return changed + made

    async def _serve_and_refuse(self) -> int:
        """Change the switch and the table beside it; return the number of changes.

        Who is served is refused at no moment: for a moment, who is not may be met by silence.
        """
        refused = self._compiler.refusals()
        await self._refusals.change(refusals.loosening(refused))
        change = self._compiler.changes()
        if len(change):
            self._dump = b""
            await self._apply(change)
            self._compiler.took(change)
            gone = change.flows.deletes
            await self._forget(pipeline.pod_addresses(gone), pipeline.vip_addresses(gone))
        await self._refusals.change(refusals.tightening(refused))
        self._compiler.refused(refused)
        return len(change) + len(refused.upserts) + len(refused.deletes)

    def _notice_restart(self) -> None:
        """Forget what the switch held when it is another process now."""
        written = _pid_written()
        if written != self._switch_started:
            self._distrust()
            self._switch_started = written

    def _switch(self) -> ground.Switch:
        if not self._connected:
            raise errors.Unavailable("OVS database is not connected yet")
        inputs = (self._database.version, self._legs(), self._meters.able)
        if self._last is None or inputs != self._last_inputs:
            _, legs, meters = inputs
            found = ground.read(self._database.rows, self._names, legs, meters=meters)
            if found != self._last:
                self._last = found  # the same object while nothing changed: comparing it is free
            self._last_inputs = inputs
        return self._last or found

    async def _read_back(self) -> None:
        """Take what the switch holds; the same words as last time cost no parsing."""
        printed = await self._observe()
        dump = hashlib.blake2b("\n".join(printed).encode()).digest()
        if dump != self._dump:
            self._compiler.read_back(openflow.parse(*printed))
            self._dump = dump
        if not self._refusals.untouched():
            self._compiler.read_back_refusals(await self._refusals.observe())

    async def _observe(self) -> tuple[str, str, str]:
        """Return flows, groups and meters as printed."""
        ours = f"cookie={constants.COOKIE:#x}/{constants.COOKIE_MASK:#x}"
        return await asyncio.gather(
            commands.run(*_OFCTL, "--no-stats", "dump-flows", self._names.bridge, ours),
            commands.run(*_OFCTL, "dump-groups", self._names.bridge),
            self._meters.observe(),
        )

    async def _apply(self, wanted: openflow.Changes) -> None:
        await self._meters.before(wanted)
        bundle = openflow.render_bundle(wanted)
        if bundle:
            await commands.run(*_OFCTL, "bundle", self._names.bridge, "-", stdin=bundle)
        await self._meters.after(wanted)

    async def _verify(self) -> None:
        await self._read_back()
        if self._compiler.refusals():
            raise errors.Unavailable("the kernel did not keep the table of refusals as written")
        left = self._compiler.changes()
        if len(left):
            example = openflow.example(left)
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

    async def _forget(self, pods: Collection[Address], vips: Collection[Address]) -> None:
        """Drop the connections of pods and VIPs that are gone.

        A client that goes on sending then starts anew: another pod answers it with a reset at
        once, where silence would have cost it minutes.
        """
        if len(pods) + len(vips) > FEW:
            dump = await _connections()
            pods, vips = connections_to(dump).intersection(pods), vips_in(dump).intersection(vips)
        for address in pods:
            await _flush("", f"ct_{_source(address)}={address}")
        for address in vips:
            await _flush(f"ct_{_destination(address)}={address}", "")

    async def _sweep(self, local: frozenset[Address]) -> None:
        """Drop connections to pods that went while nobody looked (a crash, a restart)."""
        stale = connections_to(await _connections()) - local
        if stale:
            log.info("dropping the connections of %d pods that are gone", len(stale))
        await self._forget(stale, ())


async def _connections() -> str:
    return await _vswitchd("dpctl/dump-conntrack", f"zone={constants.CT_ZONE}")


def connections_to(dump: str) -> frozenset[Address]:
    """Return the pod addresses of tracked connections: the sources of their answers."""
    return _after("reply=(src=", dump)


def vips_in(dump: str) -> frozenset[Address]:
    """Return the VIPs of tracked connections: what their clients connected to."""
    return _after(",dst=", dump)


def _after(mark: str, dump: str) -> frozenset[Address]:
    """Return the addresses that follow the first `mark` of each line."""
    parts = (line.partition(mark) for line in dump.splitlines())
    return frozenset(
        ipaddress.ip_address(text)
        for text in {rest.partition(",")[0] for _, _, rest in parts if rest}
    )


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
    pid_file = run_dir() / "ovs-vswitchd.pid"
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError) as error:
        raise errors.Unavailable(f"{pid_file}: {error}; is ovs-vswitchd running?") from error
    socket = run_dir() / f"ovs-vswitchd.{pid}.ctl"
    return await commands.run("ovs-appctl", "-t", str(socket), *words)


async def _follow_restarts(changed: Callable[[], None]) -> None:
    """Call `changed` whenever the switch has started: it is empty, and its database as before."""
    started = _pid_written()
    while True:
        await asyncio.sleep(LOOK_S)
        now = _pid_written()
        if now not in (0, started):
            started = now
            changed()


def _pid_written() -> int:
    """Return when the switch wrote its PID file, which it does at its start; 0 without a file.

    The number in it says less: in a container it may be the same each time.
    """
    try:
        return (run_dir() / "ovs-vswitchd.pid").stat().st_mtime_ns
    except OSError:
        return 0


def run_dir() -> Path:
    """Return the folder of the switch's sockets and PID files."""
    return Path(os.environ.get("OVS_RUNDIR", DEBIAN_RUNDIR))


async def _guard_table() -> str:
    return await tables.listing(f"netdev {constants.NFT_TABLE}", "-j")
