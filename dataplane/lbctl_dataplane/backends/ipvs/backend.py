"""The IPVS backend: the kernel's own balancer, with a filter beside it and VIPs as local addresses.

IPVS knows no transaction over several objects, so a pass runs commands in an order that keeps
connections (`rules.ipvs.steps`), and reads everything back when one was refused, at the start, and
in an audit now and then, since others may have changed what is ours. Virtual servers of ours carry
a cookie; those of others are never touched, and a place that somebody else serves is left to him.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from lbctl.delta import Delta
from lbctl.model import errors
from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends import audits, commands, node_facts
from lbctl_dataplane.backends.ipvs import kernel
from lbctl_dataplane.backends.ipvs.gate import Filter
from lbctl_dataplane.backends.port import Leg, Outcome
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.frontend import Frontend, Place
from lbctl_dataplane.rules.ipvs import balancer, vip_routes
from lbctl_dataplane.rules.ipvs.compiler import Changes, IpvsCompiler, Tables

log = logging.getLogger(__name__)

VERSIONS = (4, 6)
ASK_AGAIN_S = 60.0
"""A scheduler whose module was loaded meanwhile is found after so long."""
SETTINGS = MappingProxyType(
    {
        # A packet for a member that is gone begins anew, where silence would cost its client
        # minutes; so do clients with affinity to a member that gets nobody new.
        "ipv4/vs/expire_nodest_conn": "1",
        "ipv4/vs/expire_quiescent_template": "1",
        # Answers then belong to a known connection: kube-proxy and firewalls drop others.
        "ipv4/vs/conntrack": "1",
    }
)
"""What the kernel must be told; kube-proxy's IPVS mode, should it run beside us, says the same."""


class IpvsBackend:
    """Owns the virtual servers with our cookie, the routes of VIPs and the filter of one node."""

    def __init__(
        self, service_interface: str, legs: Callable[[], tuple[Address, ...]], beside: Filter
    ) -> None:
        self._facts = node_facts.NodeFacts(service_interface)
        self._legs = legs
        self._filter = beside
        self._compiler = IpvsCompiler()
        self._audits = audits.Audits()
        self._taken: frozenset[Place] = frozenset()
        """Where somebody else has a virtual server."""
        self._lacking: frozenset[str] = frozenset()
        """Schedulers that this kernel does not have, as it said."""
        self._ask_again_at = 0.0
        self._audited = False

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow routes and interfaces for ever: a pod's new route is known as soon as it is there.

        Who edits IPVS tells nobody; an audit finds it.
        """
        await self._facts.follow(changed)

    def legs(self) -> tuple[Leg, ...] | None:
        """Return the legs' addresses with the service interface's MAC."""
        return self._facts.legs(self._legs)

    async def program(self, frontends: Sequence[Frontend]) -> Outcome:
        """Make the kernel balance these frontends; see `NodeBackend.program`."""
        try:
            changed = await self._with_what_there_is(frontends)
        except BaseException:
            self._audits.distrust()
            raise
        return Outcome(changed, self._compiler.missing, self._complaint())

    async def _with_what_there_is(self, frontends: Sequence[Frontend]) -> int:
        """Make it so, by Maglev where the kernel lacks the scheduler that is asked for."""
        while True:
            try:
                return await self._make_it_so(frontends)
            except kernel.NoScheduler as error:
                self._lack(error)
                self._audits.distrust()

    def _lack(self, error: kernel.NoScheduler) -> None:
        """Go without a scheduler. Raises the error where that cannot be."""
        if not self._audited:
            return  # what was to be changed may have been taken away: it is read and tried again
        if error.scheduler in self._lacking or error.scheduler == balancer.SCHEDULER:
            raise error
        self._lacking |= {error.scheduler}
        self._ask_again_at = asyncio.get_running_loop().time() + ASK_AGAIN_S

    def _complaint(self) -> str:
        return "; ".join(
            f"places that ask for scheduler {name} go by Maglev: {kernel.cure(name)}"
            for name in sorted(self._lacking)
        )

    async def _make_it_so(self, frontends: Sequence[Frontend]) -> int:
        routes = (await self._facts.now()).routes
        self._audited = auditing = self._audits.due()
        if auditing:
            if asyncio.get_running_loop().time() >= self._ask_again_at:
                self._lacking = frozenset()
            node_facts.check_forwarding(frontend.served_versions(frontends))
            with self._audits.running():
                await self._read_back()  # loads IPVS where the kernel does so by itself
                tell_kernel(SETTINGS, node_facts.PROC_SYS_NET)
        self._compiler.update(frontends, routes, self._taken)
        self._compiler.go_without(self._lacking)
        change = self._compiler.changes()
        if auditing or len(change):
            await self._apply(change)
            self._compiler.took(change)
        if auditing and len(change):
            await self._verify()
        return len(change)

    async def _apply(self, change: Changes) -> None:
        """Make a change so that at no moment a packet meets half of it.

        Who may connect is known before anybody can; a VIP is the node's own as soon as somebody
        answers and as long as somebody might.
        """
        await self._filter.change(Delta(change.elements.upserts, frozenset()))
        await kernel.run(balancer.steps(change.servers))
        for version in VERSIONS:
            lines = vip_routes.render(change.vips, version)
            if lines:
                await commands.run("ip", f"-{version}", "-batch", "-", stdin=lines)
        await self._filter.change(Delta({}, change.elements.deletes))

    async def _read_back(self) -> None:
        servers, members = await kernel.servers(), kernel.members()
        made, behind = balancer.ours(servers, members, self._compiler.known)
        self._note_taken(frozenset(servers.keys() - made.keys()))
        routes = [
            await commands.run("ip", f"-{version}", "-j", *vip_routes.LISTING)
            for version in VERSIONS
        ]
        vips = {vip: "" for listing in routes for vip in vip_routes.parse(listing)}
        self._compiler.read_back(Tables(made, behind, vips, await self._filter.observe()))

    async def _verify(self) -> None:
        await self._read_back()
        left = self._compiler.changes()
        if len(left):
            example = next(balancer.steps(left.servers), None) or left
            raise errors.Unavailable(
                f"the kernel differs in {len(left)} places after changes that it took; "
                f"the first: {example}"
            )

    def _note_taken(self, taken: frozenset[Place]) -> None:
        for place in sorted(taken - self._taken, key=frontend.place_order):
            log.info("%s has a virtual server of somebody else, which is left alone", place)
        self._taken = taken


def tell_kernel(settings: Mapping[str, str], root: Path) -> None:
    """Write settings of the kernel, files under `root`, that are others than they must be.

    In a container /proc/sys may be read-only; then it is the node's part.
    """
    for name, wanted in settings.items():
        path, words = root / name, f"net.{name.replace('/', '.')}"
        try:
            found = path.read_text().strip()
            if found != wanted:
                path.write_text(wanted)
                log.warning("%s was %s; now %s", words, found, wanted)
        except FileNotFoundError as error:
            raise errors.Unavailable(f"there is no {words}; {kernel.cure()}") from error
        except OSError as error:
            cure = f"on the node: sysctl -w {words}={wanted}"
            raise errors.Unavailable(
                f"{words} must be {wanted}: {error.strerror}; {cure}"
            ) from error
