"""Claims at external IPAMs: asked when a Service waits for one, taken back when nobody wants it.

What an IPAM gave is written as an IPAllocation that is reserved for the Service and names its
source. Given back it goes through the state Releasing, in which nobody may take it: so the IPAM
knows that an address is free before anybody else does, whenever this process ends.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Mapping

from lbctl.engine.caches import Caches
from lbctl.engine.snapshot import Snapshots
from lbctl.ipam.allocator import Awaited, Grant
from lbctl.ipam.port import Claim, ExternalIpam
from lbctl.kube import client, resources
from lbctl.kube.store import Change
from lbctl.model import errors
from lbctl.model.allocation import (
    Allocation,
    AllocationState,
    parse_allocation,
    render_allocation,
)
from lbctl.model.reasons import Reason, Refused
from lbctl.model.virtual_service import Address
from lbctl.translate.service import ServiceFacts

log = logging.getLogger(__name__)

AGAIN_S = 2.0
"""Time from a refusal, or from no answer, to the next attempt."""
AT_A_TIME = 16
IP_ALLOCATIONS = resources.IP_ALLOCATIONS
Offers = Mapping[int, Grant | Refused]


class Outside:
    """Everything that goes on with external IPAMs; writes only while this process leads."""

    def __init__(
        self,
        api: client.Client,
        known: Caches,
        snapshots: Snapshots,
        look_at: Callable[[str], None],
    ) -> None:
        self._api = api
        self._caches = known
        self._snapshots = snapshots
        self._look_at = look_at
        """Marks a Service to be decided again."""
        self.ipams: Mapping[str, ExternalIpam] = {}
        """By the name of the pool."""
        self.cluster = ""
        self._claims: dict[tuple[str, int], Claim] = {}
        """What is awaited, by Service and family."""
        self._answers: dict[Claim, Refused] = {}
        """Why there was no address, the last time."""
        self._given: dict[str, str] = {}
        """IPAllocations that came from an IPAM, and the Services they are reserved for."""
        self._changed = asyncio.Event()
        snapshots.outside = self.hear
        known.allocations.subscribe(self._allocation_changed)
        known.services.subscribe(self._service_changed)

    def hear(self, key: str, service: ServiceFacts | None, offers: Offers) -> Offers:
        """Note what a Service awaits, and return its offers with what is known of an answer."""
        found = dict(offers)
        for family in (4, 6):
            offer = offers.get(family)
            if not isinstance(offer, Awaited) or service is None:
                self._forget((key, family))
                continue
            claim = Claim(self.cluster, offer.pool, key, family, offer.wanted, offer.shown)
            if self._claims.get((key, family)) != claim:
                self._forget((key, family))
                self._claims[key, family] = claim
                self._changed.set()
            found[family] = self._answers.get(claim, offer)
        return found

    def _forget(self, place: tuple[str, int]) -> None:
        claim = self._claims.pop(place, None)
        if claim is not None:
            self._answers.pop(claim, None)

    async def run(self) -> None:
        """Claim and release, for ever."""
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            claims = [claim for claim in self._claims.values() if claim.pool in self.ipams]
            tasks = [self._claim(claim) for claim in claims]
            tasks += [self._give_back(name) for name in self._given]
            again = False
            for start in range(0, len(tasks), AT_A_TIME):
                done = await asyncio.gather(*tasks[start : start + AT_A_TIME])
                again = again or not all(done)
            if again:
                asyncio.get_running_loop().call_later(AGAIN_S, self._changed.set)

    # --- events ---------------------------------------------------------------------------------

    def _allocation_changed(self, change: Change) -> None:
        spec = (change.new or {}).get("spec") or {}
        self._given.pop(change.key, None)
        if spec.get("source"):
            kept_for = spec.get("reservedFor") or {}
            self._given[change.key] = f"{kept_for.get('namespace')}/{kept_for.get('name')}"
            self._changed.set()

    def _service_changed(self, change: Change) -> None:
        if self._given and change.key in self._given.values():
            self._changed.set()

    # --- claiming -------------------------------------------------------------------------------

    async def _claim(self, claim: Claim) -> bool:
        """Ask for one address; tell whether nothing is left to be asked."""
        try:
            answer = await self.ipams[claim.pool].claim(claim)
            refused = answer if isinstance(answer, Refused) else await self._reserve(claim, answer)
        except errors.LbctlError as error:
            detail = f"the IPAM of {claim.pool} gives no answer: {error}"
            refused = Refused(Reason.ADDRESS_AWAITED, detail)
        if refused is None:
            self._forget((claim.service, claim.family))
        elif self._answers.get(claim) != refused:
            log.warning("%s: %s", claim.service, refused.detail)
            self._answers[claim] = refused
            self._look_at(claim.service)
        return refused is None

    async def _reserve(self, claim: Claim, address: Address) -> Refused | None:
        """Write down what an IPAM gave; return why that can't be."""
        pool = self._snapshots.resolved.pools.holding(address)
        if pool is None or pool.name != claim.pool or pool.bars(address):
            await self.ipams[claim.pool].release(claim, address)
            detail = f"the IPAM of {claim.pool} gave {address}, which that pool has not to give"
            return Refused(Reason.ADDRESS_AWAITED, detail)
        made = Allocation(
            address,
            claim.pool,
            (),
            state=AllocationState.RESERVED,
            reserved_for=claim.service,
            source=claim.pool,
        )
        try:
            answer = await self._api.create(IP_ALLOCATIONS, render_allocation(made))
        except errors.AlreadyExists:
            answer = await self._api.get(IP_ALLOCATIONS, made.name)
        self._caches.allocations.wrote(answer)
        found = parse_allocation(answer)
        if found.reserved_for == claim.service and found.state is not AllocationState.RELEASING:
            return None
        detail = f"the IPAM of {claim.pool} gave {address}, which is another Service's here"
        return Refused(Reason.ADDRESS_AWAITED, detail)

    # --- giving back ----------------------------------------------------------------------------

    async def _give_back(self, name: str) -> bool:
        """Give back an address that nobody wants; tell whether nothing is left to be done."""
        obj = self._caches.allocations.get(name)
        if obj is None:
            return True
        found = parse_allocation(obj)
        if found.state is AllocationState.BOUND or self._is_wanted(found):
            return True
        try:
            await self._release(found)
        except (errors.Conflict, errors.NotFound):
            return True  # the watch will show what happened
        except errors.LbctlError as error:
            log.warning("%s is not given back to the IPAM yet: %s", found.address, error)
            return False
        return True

    def _is_wanted(self, found: Allocation) -> bool:
        """Tell whether the Service that an address is reserved for exists and lacks one."""
        if found.state is AllocationState.RELEASING:
            return False
        view = self._snapshots.view(found.reserved_for)
        return any(
            isinstance(offer, Grant) and offer.address == found.address
            for offer in view.offers.values()
        )

    async def _release(self, found: Allocation) -> None:
        if found.state is AllocationState.RESERVED:
            leaving = dataclasses.replace(found, state=AllocationState.RELEASING)
            answer = await self._api.replace(IP_ALLOCATIONS, render_allocation(leaving))
            self._caches.allocations.wrote(answer)
            found = parse_allocation(answer)
        claim = Claim(self.cluster, found.source, found.reserved_for, found.address.version)
        ipam = self.ipams.get(found.source)
        if ipam is not None:
            await ipam.release(claim, found.address)
        else:
            log.warning("%s is free; its pool has no IPAM any more to be told", found.address)
        await self._api.delete(
            IP_ALLOCATIONS, found.name, uid=found.uid, resource_version=found.resource_version
        )
