"""The real allocator, driven as the controller drives it, against a naive model.

Whatever operators do to pools and users to Services, and however often the controller restarts: no
address that is held ever changes or is held twice, fences hold both ways, what is reserved is
never given, and what is given is the lowest that may be.
"""

import dataclasses

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from ipam_world import (
    ADDRESSES,
    CONSENTS,
    FAMILIES,
    NAMES,
    POOLS,
    PORTS,
    SERVICES,
    TRAFFIC,
    Cluster,
    barred,
    holds,
)
from lbctl.ipam.allocator import Grant
from lbctl.model.pool import AddressPool
from lbctl.model.reasons import Reason, Refused
from lbctl.model.virtual_service import Address


class Addresses(Cluster):
    """Services that hold addresses alone, while operators change every pool into any other."""

    @initialize(pools=st.lists(POOLS, max_size=2))
    def begin(self, pools: list[AddressPool]) -> None:
        for pool in pools:
            self.declared[pool.name] = pool

    @rule(service=SERVICES, family=FAMILIES)
    def ask(self, service: str, family: int) -> None:
        request = self.request(self.holder(service), family)
        kept = self.ledger.reserved(request.service, family)
        lowest = self.naive_lowest(request)
        found = self.take(request)
        if isinstance(found, Grant) and not kept:
            assert found.address == lowest
        elif isinstance(found, Refused):
            assert lowest is None
            assert found.reason in (Reason.NO_POOL, Reason.POOL_EXHAUSTED)

    @rule(service=SERVICES, wanted=ADDRESSES)
    def ask_for(self, service: str, wanted: Address) -> None:
        request = self.request(self.holder(service), wanted.version, wanted=wanted)
        before = self.stored.get(wanted)
        pool = next((pool for pool in self.pools if holds(pool, wanted)), None)
        found = self.take(request)
        may = (
            pool is not None
            and pool.name in self.naive_serving(request.subject)
            and not barred(pool, wanted)
            and (before is None or (before.reserved_for == service and not before.holders))
        )
        if found is not None:
            assert isinstance(found, Grant) is may
            assert isinstance(found, Refused) or found.address == wanted

    @rule(service=SERVICES, shown=ADDRESSES)
    def adopt(self, service: str, shown: Address) -> None:
        self.take(self.request(self.holder(service), shown.version, shown=shown))

    @rule(service=SERVICES, family=FAMILIES, pool=NAMES)
    def ask_a_pool(self, service: str, family: int, pool: str) -> None:
        request = self.request(self.holder(service), family, pool_wanted=pool)
        found = self.take(request)
        if isinstance(found, Grant):
            assert found.pool == pool

    @rule(pool=POOLS)
    def declare(self, pool: AddressPool) -> None:
        """Make, widen, shrink, split, fence or reorder a pool: any pool becomes any other."""
        self.declared[pool.name] = pool

    @rule(name=NAMES)
    def undeclare(self, name: str) -> None:
        self.declared.pop(name, None)

    @rule(order=st.permutations(["a", "b", "c"]))
    def shuffle(self, order: list[str]) -> None:
        self.declared = {name: self.declared[name] for name in order if name in self.declared}


class Sharers(Cluster):
    """Services that share the few addresses of one pool which serves everybody."""

    @rule(
        service=SERVICES,
        family=FAMILIES,
        ports=PORTS,
        consents=CONSENTS,
        traffic=TRAFFIC,
        wanted=st.none() | ADDRESSES,
    )
    def share(
        self,
        service: str,
        family: int,
        ports: frozenset[tuple[int, str]],
        consents: frozenset[str],
        traffic: str,
        wanted: Address | None,
    ) -> None:
        holder = dataclasses.replace(
            self.holder(service, ports, traffic=traffic), shares_with=consents
        )
        family = wanted.version if wanted else family
        self.take(self.request(holder, family, sharing_key="web", wanted=wanted))


TestAddresses = Addresses.TestCase
TestSharers = Sharers.TestCase
