"""The nftables backend: the node's kernel translates addresses."""

import logging
from collections.abc import Callable, Collection, Sequence

from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends import conntrack, node_facts
from lbctl_dataplane.backends.nft import return_path
from lbctl_dataplane.backends.node_facts import Facts, NodeFacts
from lbctl_dataplane.backends.port import Leg, Outcome
from lbctl_dataplane.backends.tables import listing
from lbctl_dataplane.backends.tables.generation import Others
from lbctl_dataplane.backends.tables.kernel_table import KernelTable
from lbctl_dataplane.rules import constants, frontend
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.nft import affinity, layout, tracked
from lbctl_dataplane.rules.nft.compiler import NftCompiler

log = logging.getLogger(__name__)

FEW = 4
"""Ended connections up to which nobody looks first whether there are any."""
_MARKED = ("--mark", f"{constants.NODE_MARK:#x}/{constants.NODE_MARK_MASK:#x}")


class NftBackend:
    """Owns table `inet lbctl-node`, the connections with its mark and their way back."""

    def __init__(
        self,
        service_interface: str,
        legs: Callable[[], tuple[Address, ...]],
        gateways: Callable[[], tuple[Address, ...]],
        *,
        answer_pings: bool = True,
        others: Others | None = None,
    ) -> None:
        self._facts = NodeFacts(service_interface)
        self._known: Facts | None = None
        self._legs = legs
        self._gateways = gateways
        self._back = return_path.ReturnPath(service_interface)
        self._compiler = NftCompiler(
            [service_interface, constants.TUNNEL_DEVICE],
            pinged=[service_interface] if answer_pings else [],
        )
        self._table = KernelTable(self._compiler.table, others)
        self._swept = False
        self._ended: frozenset[tracked.Tracked] = frozenset()
        """Connections that are to be dropped."""

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow the kernel's routes: a pod's is known as soon as it is there."""
        await self._facts.follow(changed)

    def legs(self) -> tuple[Leg, ...] | None:
        """Return the legs' addresses with the service interface's MAC."""
        return self._facts.legs(self._legs)

    async def program(self, frontends: Sequence[Frontend]) -> Outcome:
        """Make the kernel forward for these frontends; see `NodeBackend.program`."""
        facts = await self._facts.now()
        if facts is not self._known:
            self._back.distrust()  # routes go with their interface, and do not come back with it
            self._known = facts
        gateways = self._gateways()
        self._ended |= self._compiler.update(frontends, facts.routes)
        self._compiler.answer_by(gateways)
        try:
            changed = await self._make_it_so(frontends, gateways)
        except BaseException:
            self._swept = False
            self._table.distrust()
            self._back.distrust()
            raise
        return Outcome(changed, self._compiler.missing)

    async def _make_it_so(self, frontends: Sequence[Frontend], gateways: Sequence[Address]) -> int:
        auditing = self._table.audit_due()
        if auditing:
            node_facts.check_forwarding(frontend.served_versions(frontends))
        look_again = auditing and self._back.known
        turned = await self._back.keep(gateways)
        leaving = not self._swept or self._compiler.loses_members()
        changed = await self._table.make_it_so()
        if leaving:
            await self._forget_clients()
        await self._forget()
        if look_again:  # last, as it runs several commands
            self._back.distrust()
            turned += await self._back.keep(gateways)
        return changed + turned

    async def _forget_clients(self) -> None:
        """Let clients choose anew that are remembered with members that get no connections.

        Nobody is noted with such a member any more: what is found is all there is.
        """
        for version in layout.VERSIONS:
            name = f"{affinity.KEPT}{version}"
            remembered = await listing.record(layout.TABLE, name)
            await self._table.run(self._compiler.forgets(version, remembered))

    async def _forget(self) -> None:
        """Drop the connections whose member or place is gone.

        A client that goes on sending then starts anew: another pod answers it with a reset at
        once. At the start also those are dropped that ended while nobody looked.
        """
        ended = self._ended
        if not self._swept:
            ended = self._compiler.ended(tracked.parse(await _connections({4, 6})))
        elif len(ended) > FEW:
            ended &= tracked.parse(await _connections({entry.place.vip.version for entry in ended}))
        for entry in sorted(ended, key=_order):
            await _drop(entry)
        self._ended, self._swept = frozenset(), True


async def _connections(versions: Collection[int]) -> str:
    return await conntrack.listing(versions, *_MARKED)


async def _drop(entry: tracked.Tracked) -> None:
    place, member = entry.place, entry.member
    filters = {
        "-p": place.protocol.lower(),
        "--orig-dst": str(place.vip),
        "--orig-port-dst": str(place.port),
        "--reply-src": str(member.address),
        "--reply-port-src": str(member.port),
    }
    words = [word for pair in filters.items() for word in pair]
    await conntrack.drop(place.vip.version, *words, *_MARKED)


def _order(entry: tracked.Tracked) -> tuple[int, int, str, int, int]:
    place, member = entry.place, entry.member
    return (place.vip.version, int(place.vip), place.protocol, place.port, int(member.address))
