"""A cluster's addresses as the API server keeps them, with users, operators and restarts.

The real allocator grants, the ledger is what the controller remembers; what every grant and every
moment must respect is asserted in words of its own. Property tests add what else happens.
"""

import dataclasses
import ipaddress
import itertools
from collections.abc import Iterator

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import ipam_builders as ipam
from lbctl.ipam import release, sharing
from lbctl.ipam.allocator import AddressRequest, Grant, allocate
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.pools import AddressPools
from lbctl.ipam.resolve import resolve
from lbctl.model.allocation import Allocation, AllocationState, Holder
from lbctl.model.pool import AddressPool, AddressRange, DeclaredPool, Fence, Subject, is_buggy
from lbctl.model.reasons import Refused
from lbctl.model.selector import Selector
from lbctl.model.virtual_service import Address, ServiceRef

BASE = {4: ipaddress.ip_address("192.0.2.250"), 6: ipaddress.ip_address("2001:db8::1")}
WIDTH = 12
"""So few addresses that they run out; IPv4 crosses a .255 and a .0."""
NAMESPACES = ("team-a", "team-b")
LABELS: dict[str, dict[str, str]] = {"team-a": {"tier": "edge"}, "team-b": {}}
NOW = "2026-11-21T12:00:00.000000Z"

PICKS = st.integers(0, 99)
FAMILIES = st.sampled_from([4, 6])
OFFSETS = st.integers(0, WIDTH - 1)
ADDRESSES = st.builds(lambda family, offset: BASE[family] + offset, FAMILIES, OFFSETS)
SERVICES = st.builds(
    lambda namespace, number: f"{namespace}/s{number}",
    st.sampled_from(NAMESPACES),
    st.integers(0, 3),
)
RANGES = st.builds(
    lambda family, one, two: AddressRange(
        BASE[family] + min(one, two), BASE[family] + max(one, two)
    ),
    FAMILIES,
    OFFSETS,
    OFFSETS,
)
SELECTORS = st.sampled_from([Selector(), ipam.labelled("tier", "edge"), ipam.labelled("app", "s1")])
FENCES = st.one_of(
    st.just(Fence()),
    st.builds(
        Fence,
        namespaces=st.frozensets(st.sampled_from(NAMESPACES), max_size=1),
        namespace_selectors=st.lists(SELECTORS, max_size=1).map(tuple),
        service_selectors=st.lists(SELECTORS, max_size=1).map(tuple),
        exclusive=st.booleans(),
    ),
)
NAMES = st.sampled_from(["a", "b", "c"])
POOLS = st.builds(
    AddressPool,
    name=NAMES,
    ranges=st.lists(RANGES, max_size=2).map(tuple),
    static=st.lists(RANGES, max_size=1).map(tuple),
    reserved=st.lists(RANGES, max_size=1).map(tuple),
    priority=st.integers(0, 2),
    auto_assign=st.sampled_from([True, True, False]),
    avoid_buggy=st.booleans(),
    reuse_delay_s=st.sampled_from([0, 60]),
    fence=FENCES,
)
PLAIN = AddressPool("a", (AddressRange(BASE[4], BASE[4] + 5), AddressRange(BASE[6], BASE[6] + 3)))
PORTS = st.frozensets(
    st.sampled_from([(80, "TCP"), (80, "UDP"), (443, "TCP"), (53, "UDP")]), min_size=1, max_size=2
)
CONSENTS = st.sampled_from([frozenset("*"), frozenset("*"), frozenset({"team-a"}), frozenset()])
TRAFFIC = st.sampled_from(["Cluster", "Cluster", "Cluster", "Local/1"])


def addresses(ranges: tuple[AddressRange, ...], family: int) -> Iterator[Address]:
    """Yield each address of ranges, as often as it is in them, in their order."""
    for entry in ranges:
        if entry.family == family:
            yield from (entry.first + n for n in range(int(entry.last) - int(entry.first) + 1))


def holds(pool: AddressPool, address: Address) -> bool:
    return any(address in entry for entry in (*pool.ranges, *pool.static))


def barred(pool: AddressPool, address: Address) -> bool:
    reserved = any(address in entry for entry in pool.reserved)
    return reserved or (pool.avoid_buggy and is_buggy(address))


def may_share(one: Holder, other: Holder) -> bool:
    """Tell, in a way of its own, whether two Services of one key may have one address."""
    spaces = {one.service.namespace, other.service.namespace}
    consent = len(spaces) == 1 or all(
        "*" in holder.shares_with or spaces - {holder.service.namespace} <= holder.shares_with
        for holder in (one, other)
    )
    ports = [*one.ports, *other.ports]
    return consent and len(ports) == len(set(ports)) and one.traffic == other.traffic


class Cluster(RuleBasedStateMachine):
    """Pools, IPAllocations and who holds them; rules for what happens in every story."""

    def __init__(self) -> None:
        super().__init__()
        self.declared: dict[str, AddressPool] = {"a": PLAIN}
        self.stored: dict[Address, Allocation] = {}
        self.ledger = Ledger()
        self.generation: dict[str, int] = {}
        """How often each Service was created."""
        self.held: dict[str, dict[int, Address]] = {}
        """What each live Service (by UID) was given."""
        self.versions = 0

    # --- what the controller does ---------------------------------------------------------------

    @property
    def pools(self) -> AddressPools:
        objects = [DeclaredPool(name, "", pool) for name, pool in self.declared.items()]
        return resolve([], objects).pools

    def write(self, allocation: Allocation) -> None:
        """Store an IPAllocation as the API server would: only over the version that was read."""
        before = self.stored.get(allocation.address)
        assert allocation.resource_version == (before.resource_version if before else "")
        self.versions += 1
        version = str(self.versions)
        uid = before.uid if before else f"alloc-{version}"
        written = dataclasses.replace(allocation, uid=uid, resource_version=version)
        self.stored[allocation.address] = written
        self.ledger.put(written)

    def erase(self, address: Address) -> None:
        del self.stored[address]
        self.ledger.remove(address)

    def uid(self, service: str) -> str:
        return f"{service}#{self.generation.get(service, 0)}"

    def holder(
        self, service: str, ports: frozenset[tuple[int, str]] = frozenset(), **more: str
    ) -> Holder:
        namespace, _, name = service.partition("/")
        ref = ServiceRef(namespace, name, self.uid(service))
        return Holder(ref, tuple(sorted(ports)), more.get("traffic", "Cluster"))

    def request(self, holder: Holder, family: int, **more: object) -> AddressRequest:
        made = AddressRequest(
            holder,
            family,
            namespace_labels=LABELS[holder.service.namespace],
            labels={"app": holder.service.name},
        )
        return dataclasses.replace(made, **more)  # type: ignore[arg-type]

    def take(self, request: AddressRequest) -> Grant | Refused | None:
        """Let a Service without an address of that family ask for one."""
        uid = request.holder.service.uid
        if request.family in self.held.get(uid, {}):
            return None
        found = allocate(request, self.pools, self.ledger)
        assert found == allocate(request, self.pools, Ledger(self.stored.values()))
        if isinstance(found, Grant):
            self.check(found, request)
            self.write(found.allocation)
            self.held.setdefault(uid, {})[request.family] = found.address
        return found

    def check(self, found: Grant, request: AddressRequest) -> None:
        """Assert what every grant must respect."""
        address, before = found.address, self.stored.get(found.address)
        assert address.version == request.family
        pool = self.pools.holding(address)
        assert pool is not None
        assert not barred(pool, address)
        serving = self.naive_serving(request.subject)
        assert pool.name in serving
        if before is None:
            assert address in (request.wanted, request.shown) or (
                address in addresses(pool.ranges, request.family)
                and address not in addresses(pool.static, request.family)
            )
        elif before.state is AllocationState.RESERVED:
            assert before.reserved_for == request.service
        else:
            assert request.sharing_key
            assert before.sharing_key == request.sharing_key
            assert all(may_share(request.holder, other) for other in before.holders)
            assert set(before.holders) < set(found.allocation.holders)

    def naive_serving(self, subject: Subject) -> set[str]:
        selecting = {pool.name for pool in self.pools if pool.fence.selects(subject)}
        exclusive = {pool.name for pool in self.pools if pool.fence.exclusive} & selecting
        everybody = {pool.name for pool in self.pools if pool.fence.is_open}
        return selecting if exclusive else selecting | everybody

    def naive_lowest(self, request: AddressRequest) -> Address | None:
        serving = self.naive_serving(request.subject)
        for pool in sorted(self.pools, key=lambda pool: (pool.priority, pool.name)):
            if pool.name not in serving or not pool.auto_assign:
                continue
            static = set(addresses(pool.static, request.family))
            for address in addresses(pool.ranges, request.family):
                if not (barred(pool, address) or address in static or address in self.stored):
                    return address
        return None

    @precondition(lambda self: self.held)
    @rule(pick=PICKS)
    def delete(self, pick: int) -> None:
        uid = sorted(self.held)[pick % len(self.held)]
        service = uid.partition("#")[0]
        for address in self.held.pop(uid, {}).values():
            found = self.stored[address]
            pool = self.pools.named(found.pool)
            left = release.without(found, uid, NOW, pool.reuse_delay_s if pool else 0)
            others = {holder for holder in found.holders if holder.service.uid != uid}
            assert set(left.holders if left else ()) == others
            if found.reserved_for and not others:
                assert left is not None
                assert (left.reserved_for, left.released_at) == (found.reserved_for, "")
            if left is None:
                self.erase(address)
            else:
                self.write(left)
        self.generation[service] = self.generation.get(service, 0) + 1

    # --- what operators and time do ---

    @precondition(lambda self: self.reserved() < 2)
    @rule(address=ADDRESSES, service=SERVICES)
    def reserve(self, address: Address, service: str) -> None:
        if address not in self.stored:
            made = Allocation(address, "", (), state=AllocationState.RESERVED)
            self.write(dataclasses.replace(made, reserved_for=service))

    @precondition(lambda self: self.reserved())
    @rule(pick=PICKS)
    def expire(self, pick: int) -> None:
        """End a reservation: by time, or by the administrator's hand."""
        over = [a for a, found in self.stored.items() if found.state is AllocationState.RESERVED]
        self.erase(over[pick % len(over)])

    @rule()
    def restart(self) -> None:
        self.ledger = Ledger(self.stored.values())

    def reserved(self) -> int:
        return sum(found.state is AllocationState.RESERVED for found in self.stored.values())

    # --- what must hold at every moment ---------------------------------------------------------

    @invariant()
    def what_is_held_stays_and_is_stored(self) -> None:
        for uid, families in self.held.items():
            for address in families.values():
                assert self.stored[address].is_held_by(uid)
        held = {address for families in self.held.values() for address in families.values()}
        bound = {
            address
            for address, entry in self.stored.items()
            if entry.state is AllocationState.BOUND
        }
        assert bound == held

    @invariant()
    def who_holds_one_address_shares_it(self) -> None:
        for found in self.stored.values():
            for one, other in itertools.combinations(found.holders, 2):
                assert found.sharing_key
                assert may_share(one, other)
                assert sharing.refusal(one, found.sharing_key, found) is None

    @invariant()
    def the_ledger_says_what_is_stored(self) -> None:
        for family in (4, 6):
            for offset in range(WIDTH):
                address = BASE[family] + offset
                assert self.ledger.at(address) == self.stored.get(address)
        fresh = Ledger(self.stored.values())
        for family in (4, 6):
            assert self.ledger.shared("web", family) == fresh.shared("web", family)
            for name in ("a", "b", "c"):
                assert self.ledger.bound(name, family) == fresh.bound(name, family)
        for pool in self.pools:
            for family in (4, 6):
                whole = {*addresses((*pool.ranges, *pool.static), family)}
                free = {entry for entry in whole - self.stored.keys() if not barred(pool, entry)}
                assert self.pools.available(pool.name, family, self.ledger) == len(free)
